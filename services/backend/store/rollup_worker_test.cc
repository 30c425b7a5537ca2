#include "services/backend/store/rollup_worker.h"

#include <gtest/gtest.h>
#include <rocksdb/env.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "flightrec/read/v1/read.pb.h"
#include "services/backend/store/blocking_store.h"
#include "services/backend/store/faulty_file_system.h"
#include "services/backend/store/keys.h"
#include "services/backend/store/test_items.h"

namespace flightrec::backend {
namespace {

constexpr uint64_t kChunks = kRollupsPerTurn + 10;

class RollupWorkerTest : public ::testing::Test {
 protected:
  RollupWorkerTest() : recording_(TestRecordingId(1)), store_(MakeStoreDirectory()) {
    EXPECT_TRUE(store_.OpenProducer().ok());
    Add({RecordingItem{recording_, TestRecording(recording_)}});
  }

  void Add(std::vector<Item> items) {
    ASSERT_TRUE(store_.Commit(TestBatch(++sequence_, std::move(items))).ok());
  }
  void AddChunks(uint64_t count) {
    for (; count > 0; --count) {
      // Each seed has functions of its own.
      Add({TestChunkItem(TestChunk(recording_, chunks_, 0xa, chunks_ + 1))});
      ++chunks_;
    }
  }
  std::vector<read::v1::ChunkRollup> Rollups(uint64_t after_position = 0) {
    const std::vector<std::string> stored =
        store_.store().ReadRollups(kDefaultTenant, recording_, after_position, kChunks).value();
    std::vector<read::v1::ChunkRollup> rollups;
    for (const std::string& bytes : stored) {
      EXPECT_TRUE(rollups.emplace_back().ParseFromString(bytes));
    }
    return rollups;
  }

  const ids::Ulid recording_;
  BlockingStore store_;
  uint64_t sequence_ = 0;
  uint64_t chunks_ = 0;
};

TEST_F(RollupWorkerTest, chunks_were_there_before_and_come_after__then_all_have_rollups_in_order) {
  AddChunks(3);
  store_.store().StartRollups(store_.registry());
  AddChunks(kChunks - 3);
  store_.store().rollups()->WaitUntilIdle();
  const std::vector<read::v1::ChunkRollup> rollups = Rollups();
  ASSERT_EQ(rollups.size(), kChunks);
  for (uint64_t i = 0; i < kChunks; ++i) {
    EXPECT_EQ(rollups[i].position(), i + 1);
    EXPECT_GE(rollups[i].calls(), 100u);
    EXPECT_GT(rollups[i].functions_size(), 0);
  }
  EXPECT_EQ(Rollups(kChunks - 2).size(), 2u);
  EXPECT_TRUE(
      absl::StrContains(store_.registry().Exposition(), "flightrec_backend_rollups_total 74"));
}

TEST_F(RollupWorkerTest, more_recordings_than_may_wait__then_all_of_them_get_their_rollups) {
  constexpr uint8_t kRecordings = 9;
  for (uint8_t i = 2; i <= kRecordings; ++i) {
    const ids::Ulid other = TestRecordingId(i);
    Add({RecordingItem{other, TestRecording(other)}, TestChunkItem(TestChunk(other, 0))});
  }
  store_.store().StartRollups(store_.registry(), /*max_pending=*/2);
  store_.store().rollups()->WaitUntilIdle();
  for (uint8_t i = 2; i <= kRecordings; ++i) {
    EXPECT_EQ(store_.store().ReadRollups(kDefaultTenant, TestRecordingId(i), 0, 2)->size(), 1u)
        << i;
  }
}

// A store whose recordings can be made unreadable: they are in a table.
TEST(RollupWorker, recordings_cannot_be_read_at_the_start__then_it_looks_again) {
  const std::string directory = MakeStoreDirectory();
  const ids::Ulid recording = TestRecordingId(1);
  {
    BlockingStore store(directory);
    ASSERT_TRUE(store.OpenProducer().ok());
    ASSERT_TRUE(store
                    .Commit(TestBatch(1, {RecordingItem{recording, TestRecording(recording)},
                                          TestChunkItem(TestChunk(recording, 0))}))
                    .ok());
  }
  // Opening it writes what the log has to tables.
  { BlockingStore store(directory); }
  const auto system =
      std::make_shared<FaultyFileSystem>([](auto) { return rocksdb::IOStatus::OK(); });
  const std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(system);
  DatabaseOptions options;
  options.env = env.get();
  BlockingStore store(directory, options);
  system->FailReads(rocksdb::IOStatus::IOError("not now"));
  store.store().StartRollups(store.registry());
  system->AwaitFailedRead();
  system->FailReads(rocksdb::IOStatus::OK());
  store.store().rollups()->WaitUntilIdle();
  EXPECT_EQ(store.store().ReadRollups(kDefaultTenant, recording, 0, 2)->size(), 1u);
}

TEST_F(RollupWorkerTest, recording_is_purged__then_no_rollup_stays) {
  AddChunks(2);
  store_.store().StartRollups(store_.registry());
  store_.store().rollups()->WaitUntilIdle();
  // Without a window, purged at once.
  ASSERT_TRUE(store_.Delete(recording_).ok());
  store_.store().rollups()->WaitUntilIdle();
  EXPECT_TRUE(Rollups().empty());
}

TEST_F(RollupWorkerTest, function_is_named__then_only_chunks_with_calls_of_it_are_read) {
  AddChunks(3);
  ChunkQuery query;
  query.tenant = kDefaultTenant;
  query.recording = recording_;
  query.function_ids = {1};
  // Without rollups nothing can be left out.
  EXPECT_EQ(store_.ReadAll(query)->size(), 3u);
  store_.store().StartRollups(store_.registry());
  store_.store().rollups()->WaitUntilIdle();
  EXPECT_EQ(store_.ReadAll(query)->size(), 0u);
  const std::vector<read::v1::ChunkRollup> rollups = Rollups();
  query.function_ids = {1, rollups[1].functions(0).function_id()};
  const std::vector<StoredChunk> found = store_.ReadAll(query).value();
  ASSERT_GE(found.size(), 1u);
  EXPECT_TRUE(std::any_of(found.begin(), found.end(),
                          [](const StoredChunk& chunk) { return chunk.position == 2; }));
}

}  // namespace
}  // namespace flightrec::backend
