#include "services/backend/store/integrity.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "common/ids/resource_name.h"
#include "services/backend/store/blocking_store.h"
#include "services/backend/store/test_items.h"
#include "services/backend/store/test_workload.h"

namespace flightrec::backend {
namespace {

constexpr uint64_t kBatches = 25;

class IntegrityTest : public ::testing::Test {
 protected:
  IntegrityTest() : directory_(MakeStoreDirectory()) {
    BlockingStore store(directory_);
    EXPECT_TRUE(store.OpenProducer().ok());
    EXPECT_EQ(CommitWorkload(store, 1, kBatches), kBatches);
  }

  // What a scan finds after `write` has been done behind the store's back.
  std::vector<StoreDamage> Scan(
      const std::function<void(Database&, rocksdb::WriteBatch&)>& damage) {
    const std::unique_ptr<Database> database = Database::Open(directory_).value();
    rocksdb::WriteBatch batch;
    damage(*database, batch);
    EXPECT_EQ(database->WriteSynced(batch), absl::OkStatus());
    std::vector<StoreDamage> found;
    IntegrityScan scan(*database, [&found](const StoreDamage& one) {
      found.push_back(one);
      return true;
    });
    while (scan.Step()) {
    }
    totals_ = scan.totals();
    EXPECT_EQ(totals_.damages, found.size());
    return found;
  }

  const std::string directory_;
  const std::string second_ = ids::RecordingResourceName(WorkloadRecording(11));
  IntegrityTotals totals_;
};

TEST_F(IntegrityTest, store_is_whole__then_everything_is_counted_and_nothing_reported) {
  EXPECT_TRUE(Scan([](Database&, rocksdb::WriteBatch&) {}).empty());
  EXPECT_EQ(totals_.recordings, 3u);
  EXPECT_EQ(totals_.chunks, kBatches);
  EXPECT_GT(totals_.chunk_bytes, kBatches * 100);
}

TEST_F(IntegrityTest, chunk_is_altered__then_its_recording_and_position_are_reported) {
  const std::vector<StoreDamage> found = Scan([](Database& database, rocksdb::WriteBatch& batch) {
    std::string chunk = WorkloadChunk(13);
    chunk.back() ^= 1;
    batch.Put(database.family(Family::kChunks), ChunkKey(kDefaultTenant, WorkloadRecording(13), 3),
              chunk);
  });
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].tenant, kDefaultTenant);
  EXPECT_EQ(found[0].recording, second_);
  EXPECT_EQ(found[0].position, 3u);
  EXPECT_EQ(found[0].family, "chunks");
}

TEST_F(IntegrityTest, chunks_are_missing_or_in_another_place__then_each_is_reported) {
  const std::vector<StoreDamage> found = Scan([](Database& database, rocksdb::WriteBatch& batch) {
    rocksdb::ColumnFamilyHandle* chunks = database.family(Family::kChunks);
    batch.Delete(chunks, ChunkKey(kDefaultTenant, WorkloadRecording(11), 1));
    batch.Put(chunks, ChunkKey(kDefaultTenant, WorkloadRecording(11), 2), WorkloadChunk(13));
  });
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].position, 1u);
  EXPECT_TRUE(absl::StrContains(found[0].problem, "missing"));
  EXPECT_EQ(found[1].position, 2u);
  EXPECT_TRUE(absl::StrContains(found[1].problem, "another chunk")) << found[1].problem;
}

TEST_F(IntegrityTest, entries_do_not_parse_or_have_no_chunk__then_each_is_reported) {
  const std::vector<StoreDamage> found = Scan([](Database& database, rocksdb::WriteBatch& batch) {
    const ids::Ulid id = WorkloadRecording(11);
    batch.Put(database.family(Family::kThreads), ThreadKey(kDefaultTenant, id, 1, 2), "\xff");
    batch.Put(database.family(Family::kChunkIndex),
              RecordingKey(kDefaultTenant, id) + std::string(25, 'x'), "short");
  });
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].family, "threads");
  EXPECT_EQ(found[1].family, "chunk_index");
}

}  // namespace
}  // namespace flightrec::backend
