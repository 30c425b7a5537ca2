// What was acknowledged outlives the process: the one that writes is killed.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/clock/clock.h"
#include "services/backend/store/blocking_store.h"
#include "services/backend/store/database.h"
#include "services/backend/store/keys.h"
#include "services/backend/store/test_items.h"

namespace flightrec::backend {
namespace {

constexpr uint64_t kBatchesBeforeKill = 50;

const ids::Ulid kRecording = TestRecordingId(1);

// Never returns: writes a byte for every acknowledged batch until it is killed.
[[noreturn]] void WriteForever(const std::string& directory, int acknowledged) {
  BlockingStore store(directory);
  if (!store.OpenProducer().ok()) _exit(1);
  const RecordingItem recording{kRecording, TestRecording(kRecording)};
  for (uint64_t sequence = 1;; ++sequence) {
    const absl::StatusOr<BatchResult> result = store.Commit(
        TestBatch(sequence, {recording, TestChunkItem(TestChunk(kRecording, sequence - 1))}));
    if (!result.ok() || result->refusal.has_value()) _exit(1);
    if (write(acknowledged, "", 1) != 1) _exit(1);
  }
}

// Forked before this process has made any thread.
class Writer {
 public:
  explicit Writer(const std::string& directory) {
    int fds[2];
    if (pipe(fds) != 0) ADD_FAILURE() << "pipe";
    pid_ = fork();
    if (pid_ == 0) {
      close(fds[0]);
      WriteForever(directory, fds[1]);
    }
    close(fds[1]);
    acknowledged_ = fds[0];
  }
  ~Writer() { close(acknowledged_); }

  pid_t pid() const { return pid_; }
  bool AwaitAcknowledgement() {
    char byte;
    return read(acknowledged_, &byte, 1) == 1;
  }
  // How many more were acknowledged before the end.
  uint64_t Kill() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    uint64_t count = 0;
    while (AwaitAcknowledgement()) ++count;
    return count;
  }

 private:
  pid_t pid_ = 0;
  int acknowledged_ = -1;
};

TEST(Durability, writer_is_killed__then_every_acknowledged_chunk_is_there) {
  const std::string directory = MakeStoreDirectory();
  Writer writer(directory);
  for (uint64_t i = 0; i < kBatchesBeforeKill; ++i) ASSERT_TRUE(writer.AwaitAcknowledgement());
  const uint64_t acknowledged = kBatchesBeforeKill + writer.Kill();

  BlockingStore store(directory);
  const uint64_t durable = store.OpenProducer().value();
  EXPECT_GE(durable, acknowledged);
  ChunkQuery query;
  query.tenant = kDefaultTenant;
  query.recording = kRecording;
  const std::vector<StoredChunk> chunks = store.ReadAll(query).value();
  ASSERT_EQ(chunks.size(), durable);
  for (uint64_t i = 0; i < durable; ++i) EXPECT_EQ(chunks[i].data, TestChunk(kRecording, i));
}

TEST(Durability, another_process_owns_the_store__then_it_is_named) {
  const std::string directory = MakeStoreDirectory();
  Writer writer(directory);
  ASSERT_TRUE(writer.AwaitAcknowledgement());
  const absl::Status status = Database::Open(directory).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(status.message(), absl::StrCat("owned by process ", writer.pid())))
      << status;
  writer.Kill();
}

TEST(Durability, stored_chunk_was_altered__then_DATA_LOSS_names_it) {
  const std::string directory = MakeStoreDirectory();
  {
    BlockingStore store(directory);
    store.OpenProducer().value();
    store
        .Commit(TestBatch(1, {RecordingItem{kRecording, TestRecording(kRecording)},
                              TestChunkItem(TestChunk(kRecording, 0))}))
        .value();
  }
  {
    std::string altered = TestChunk(kRecording, 0);
    altered.back() ^= 1;
    const std::unique_ptr<Database> database = Database::Open(directory).value();
    rocksdb::WriteBatch batch;
    batch.Put(database->family(Family::kChunks), ChunkKey(kDefaultTenant, kRecording, 1), altered);
    ASSERT_EQ(database->WriteSynced(batch), absl::OkStatus());
  }
  BlockingStore store(directory);
  ChunkQuery query;
  query.tenant = kDefaultTenant;
  query.recording = kRecording;
  const absl::Status status = store.ReadAll(query).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(absl::StrContains(status.message(), "at position 1")) << status;
}

TEST(Durability, store_has_a_later_format__then_it_is_not_opened) {
  const std::string directory = MakeStoreDirectory();
  {
    const std::unique_ptr<Database> database = Database::Open(directory).value();
    std::string version;
    AppendU32(version, kStoreFormatVersion + 1);
    rocksdb::WriteBatch batch;
    batch.Put(database->family(Family::kDefault), kFormatVersionKey, version);
    ASSERT_EQ(database->WriteSynced(batch), absl::OkStatus());
  }
  EXPECT_EQ(Database::Open(directory).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace flightrec::backend
