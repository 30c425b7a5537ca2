#include "services/backend/store/store.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/clock/clock.h"
#include "common/ids/resource_name.h"
#include "common/metrics/registry.h"
#include "services/backend/store/blocking_store.h"
#include "services/backend/store/keys.h"
#include "services/backend/store/test_items.h"

namespace flightrec::backend {
namespace {

const ids::Ulid kRecording = TestRecordingId(1);

RecordingItem Recorded(const ids::Ulid& id = kRecording,
                       trace::v1::RecordingState state = trace::v1::RECORDING_STATE_RECORDING) {
  return {id, TestRecording(id, state)};
}

ChunkQuery All(const ids::Ulid& recording = kRecording) {
  ChunkQuery query;
  query.tenant = kDefaultTenant;
  query.recording = recording;
  return query;
}

// A store with kRecording and the producer "p" in epoch 1 that has sent batch 1.
class StoreTest : public ::testing::Test {
 protected:
  StoreTest() : directory_(MakeStoreDirectory()), store_(std::in_place, directory_) {
    EXPECT_EQ(*store_->OpenProducer(), 0u);
    EXPECT_EQ(store_->Commit(TestBatch(1, {Recorded()}))->durable_sequence, 1u);
  }

  void Reopen() {
    store_.reset();
    store_.emplace(directory_);
  }
  BatchResult Commit(uint64_t sequence, std::vector<Item> items) {
    return store_->Commit(TestBatch(sequence, std::move(items))).value();
  }
  std::vector<uint64_t> PositionsOf(const ChunkQuery& query) {
    std::vector<uint64_t> positions;
    const std::vector<StoredChunk> chunks = store_->ReadAll(query).value();
    for (const StoredChunk& chunk : chunks) positions.push_back(chunk.position);
    return positions;
  }

  // Of the recording in the trash.
  std::optional<int64_t> PurgeTime() {
    std::optional<int64_t> time;
    const absl::Status visited = store_->store().VisitDeletedRecordings(
        [&time](absl::string_view, const TrashEntry& trashed) { time = trashed.purge_time; });
    EXPECT_TRUE(visited.ok()) << visited;
    return time;
  }

  const std::string directory_;
  std::optional<BlockingStore> store_;
};

using Positions = std::vector<uint64_t>;

TEST_F(StoreTest, store_is_reopened__then_chunks_and_sequence_are_there) {
  const std::string chunk = TestChunk(kRecording, 0);
  Commit(2, {TestChunkItem(chunk)});
  Reopen();
  EXPECT_EQ(*store_->OpenProducer(), 2u);
  const std::vector<StoredChunk> chunks = store_->ReadAll(All()).value();
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(chunks[0].data, chunk);
  EXPECT_EQ(chunks[0].position, 1u);
}

TEST_F(StoreTest, store_is_reopened__then_positions_go_on) {
  Commit(2, {TestChunkItem(TestChunk(kRecording, 0))});
  Reopen();
  store_->OpenProducer().value();
  Commit(3, {TestChunkItem(TestChunk(kRecording, 1))});
  EXPECT_EQ(PositionsOf(All()), (Positions{1, 2}));
}

TEST_F(StoreTest, batch_is_sent_again__then_nothing_changes) {
  Commit(2, {TestChunkItem(TestChunk(kRecording, 0))});
  const BatchResult result = Commit(2, {TestChunkItem(TestChunk(kRecording, 7))});
  EXPECT_TRUE(result.duplicate);
  EXPECT_EQ(result.durable_sequence, 2u);
  EXPECT_EQ(PositionsOf(All()), Positions{1});
}

TEST_F(StoreTest, chunk_is_sent_again_in_a_new_epoch__then_it_is_kept_once) {
  Commit(2, {TestChunkItem(TestChunk(kRecording, 0))});
  EXPECT_EQ(*store_->OpenProducer("p", 2), 0u);
  const Batch again = TestBatch(1, {Recorded(), TestChunkItem(TestChunk(kRecording, 0))}, "p", 2);
  EXPECT_FALSE(store_->Commit(again)->refusal.has_value());
  EXPECT_EQ(PositionsOf(All()), Positions{1});
}

TEST_F(StoreTest, chunk_twice_in_one_batch__then_it_is_kept_once) {
  Commit(2, {TestChunkItem(TestChunk(kRecording, 0)), TestChunkItem(TestChunk(kRecording, 0))});
  EXPECT_EQ(PositionsOf(All()), Positions{1});
}

TEST_F(StoreTest, chunk_with_known_identity_and_other_content__then_batch_is_refused) {
  Commit(2, {TestChunkItem(TestChunk(kRecording, 0))});
  const BatchResult result = Commit(3, {TestChunkItem(TestChunk(kRecording, 1)),
                                        TestChunkItem(TestChunk(kRecording, 0, kTestThread, 9))});
  ASSERT_TRUE(result.refusal.has_value());
  EXPECT_EQ(result.refusal->reason, RefusalReason::kChunkConflict);
  EXPECT_EQ(result.refusal->item, 1u);
  EXPECT_EQ(result.durable_sequence, 3u);
  EXPECT_EQ(PositionsOf(All()), Positions{1});
}

TEST_F(StoreTest, sequence_is_missing__then_FAILED_PRECONDITION_names_both) {
  const absl::Status status = store_->Commit(TestBatch(3, {})).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(), "producer p: expected sequence 2, got 3");
}

TEST_F(StoreTest, sequence_zero__then_INVALID_ARGUMENT) {
  EXPECT_EQ(store_->Commit(TestBatch(0, {})).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(StoreTest, epoch_goes_back__then_FAILED_PRECONDITION) {
  store_->OpenProducer("p", 5).value();
  EXPECT_EQ(store_->OpenProducer("p", 4).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(StoreTest, batch_of_an_epoch_that_is_over__then_ABORTED) {
  store_->OpenProducer("p", 5).value();
  EXPECT_EQ(store_->Commit(TestBatch(2, {})).status().code(), absl::StatusCode::kAborted);
}

TEST_F(StoreTest, chunk_of_unknown_recording__then_batch_is_refused) {
  const BatchResult result = Commit(2, {TestChunkItem(TestChunk(TestRecordingId(9), 0))});
  ASSERT_TRUE(result.refusal.has_value());
  EXPECT_EQ(result.refusal->reason, RefusalReason::kRecordingUnknown);
}

TEST_F(StoreTest, recording_is_refused_with_its_batch__then_later_batches_do_not_know_it) {
  const ids::Ulid other = TestRecordingId(2);
  Commit(2, {Recorded(other), TestChunkItem(TestChunk(TestRecordingId(9), 0))});
  const BatchResult result = Commit(3, {TestChunkItem(TestChunk(other, 0))});
  ASSERT_TRUE(result.refusal.has_value());
  EXPECT_EQ(result.refusal->reason, RefusalReason::kRecordingUnknown);
}

TEST_F(StoreTest, new_chunk_after_seal__then_batch_is_refused) {
  Commit(2, {TestChunkItem(TestChunk(kRecording, 0)),
             Recorded(kRecording, trace::v1::RECORDING_STATE_SEALED)});
  const BatchResult result = Commit(3, {TestChunkItem(TestChunk(kRecording, 1))});
  ASSERT_TRUE(result.refusal.has_value());
  EXPECT_EQ(result.refusal->reason, RefusalReason::kRecordingSealed);
}

TEST_F(StoreTest, earlier_state_is_sent_again__then_later_one_stays) {
  Commit(2, {Recorded(kRecording, trace::v1::RECORDING_STATE_SEALED)});
  Commit(3, {Recorded(kRecording, trace::v1::RECORDING_STATE_ARMED)});
  EXPECT_EQ(store_->store().GetRecording(kDefaultTenant, kRecording)->state(),
            trace::v1::RECORDING_STATE_SEALED);
}

TEST_F(StoreTest, recording_is_deleted__then_it_is_gone_and_does_not_come_back) {
  Commit(2, {TestChunkItem(TestChunk(kRecording, 0))});
  ASSERT_EQ(store_->Delete(kRecording), absl::OkStatus());
  EXPECT_EQ(store_->ReadAll(All()).status().code(), absl::StatusCode::kNotFound);
  const BatchResult result = Commit(3, {Recorded()});
  ASSERT_TRUE(result.refusal.has_value());
  EXPECT_EQ(result.refusal->reason, RefusalReason::kRecordingDeleted);
  EXPECT_EQ(store_->Delete(kRecording).code(), absl::StatusCode::kNotFound);
}

TEST_F(StoreTest, recording_is_deleted_while_it_is_read__then_ABORTED) {
  Commit(2, {TestChunkItem(TestChunk(kRecording, 0))});
  absl::StatusOr<ChunkCursor> cursor = store_->store().ReadChunks(All());
  ASSERT_EQ(store_->Delete(kRecording), absl::OkStatus());
  EXPECT_EQ(cursor->Next().status().code(), absl::StatusCode::kAborted);
}

TEST_F(StoreTest, chunks_come_after_the_cursor_was_opened__then_they_are_left_out) {
  Commit(2, {TestChunkItem(TestChunk(kRecording, 1))});
  absl::StatusOr<ChunkCursor> cursor = store_->store().ReadChunks(All());
  Commit(3, {TestChunkItem(TestChunk(kRecording, 0))});
  EXPECT_EQ((*cursor->Next())->position, 1u);
  EXPECT_FALSE(cursor->Next()->has_value());
  EXPECT_EQ(cursor->last_position(), 1u);
}

TEST_F(StoreTest, chunks_came_in_any_order__then_they_are_read_by_thread_and_ordinal) {
  Commit(2, {TestChunkItem(TestChunk(kRecording, 1, 0xb)),
             TestChunkItem(TestChunk(kRecording, 0, 0xb)),
             TestChunkItem(TestChunk(kRecording, 0, 0xa))});
  EXPECT_EQ(PositionsOf(All()), (Positions{3, 2, 1}));
}

TEST_F(StoreTest, query_names_thread_and_position__then_only_those_chunks_come) {
  Commit(2, {TestChunkItem(TestChunk(kRecording, 0, 0xa)),
             TestChunkItem(TestChunk(kRecording, 0, 0xb)),
             TestChunkItem(TestChunk(kRecording, 1, 0xa))});
  ChunkQuery query = All();
  query.process = kTestProcess;
  query.thread = 0xa;
  EXPECT_EQ(PositionsOf(query), (Positions{1, 3}));
  query.after_position = 1;
  EXPECT_EQ(PositionsOf(query), Positions{3});
}

TEST_F(StoreTest, query_names_time__then_chunks_outside_are_left_out) {
  const ChunkItem chunk = TestChunkItem(TestChunk(kRecording, 0));
  const IndexEntry entry = MakeIndexEntry(chunk.header, chunk.data);
  ASSERT_LT(entry.start_ns, entry.end_ns);
  Commit(2, {chunk});
  ChunkQuery query = All();
  query.start_ns = entry.end_ns;
  EXPECT_EQ(PositionsOf(query), Positions{});
  query.start_ns = entry.end_ns - 1;
  EXPECT_EQ(PositionsOf(query), Positions{1});
  query.start_ns = 0;
  query.end_ns = entry.start_ns;
  EXPECT_EQ(PositionsOf(query), Positions{});
}

TEST_F(StoreTest, more_chunks_than_are_read_ahead__then_all_come) {
  std::vector<Item> items;
  for (uint64_t i = 0; i < 2 * kIndexReadAhead + 1; ++i) {
    items.push_back(TestChunkItem(TestChunk(kRecording, i)));
  }
  Commit(2, std::move(items));
  EXPECT_EQ(PositionsOf(All()).size(), 2 * kIndexReadAhead + 1);
}

TEST_F(StoreTest, page_holds_two__then_recordings_come_newest_first_in_pages) {
  Commit(2, {Recorded(TestRecordingId(3)), Recorded(TestRecordingId(2))});
  const auto all = [](const trace::v1::Recording&) { return true; };
  const auto first = store_->store().ListRecordings(kDefaultTenant, "", {.items = 2}, all).value();
  ASSERT_EQ(first.items.size(), 2u);
  EXPECT_EQ(first.items[0].name(), ids::RecordingResourceName(TestRecordingId(3)));
  EXPECT_EQ(first.items[1].name(), ids::RecordingResourceName(TestRecordingId(2)));
  const auto second =
      store_->store().ListRecordings(kDefaultTenant, first.cursor, {.items = 2}, all).value();
  ASSERT_EQ(second.items.size(), 1u);
  EXPECT_EQ(second.items[0].name(), ids::RecordingResourceName(kRecording));
  EXPECT_EQ(second.cursor, "");
}

TEST_F(StoreTest, other_tenant__then_sees_nothing) {
  EXPECT_EQ(store_->store().GetRecording("other", kRecording).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_FALSE(store_->store().LatestRecording("other")->has_value());
}

TEST_F(StoreTest, store_is_open__then_opening_it_again_names_the_owner) {
  metrics::Registry registry;
  const absl::Status status = Store::Open(directory_, clock::RealClock(), registry).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(status.message(), absl::StrCat("owned by process ", getpid())))
      << status;
}

TEST_F(StoreTest, deleted_recording_is_brought_back__then_it_is_as_it_was_and_goes_on) {
  Commit(2, {TestChunkItem(TestChunk(kRecording, 0)), TestChunkItem(TestChunk(kRecording, 1))});
  ASSERT_EQ(store_->Delete(kRecording, absl::Hours(1)), absl::OkStatus());
  EXPECT_EQ(store_->store().GetRecording(kDefaultTenant, kRecording).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(store_->ReadAll(All()).status().code(), absl::StatusCode::kNotFound);
  const auto deleted = store_->store().ListDeletedRecordings(kDefaultTenant, "", {.items = 2});
  ASSERT_EQ(deleted->items.size(), 1u);
  EXPECT_EQ(deleted->items[0].purge_time - deleted->items[0].delete_time, 3600);

  ASSERT_EQ(store_->Undelete(kRecording), absl::OkStatus());
  Commit(3, {TestChunkItem(TestChunk(kRecording, 2))});
  EXPECT_EQ(PositionsOf(All()), (Positions{1, 2, 3}));
}

TEST_F(StoreTest, deleted_recording_is_brought_back_after_a_restart__then_it_goes_on) {
  Commit(2, {TestChunkItem(TestChunk(kRecording, 0))});
  ASSERT_EQ(store_->Delete(kRecording, absl::Hours(1)), absl::OkStatus());
  Reopen();
  ASSERT_TRUE(store_->OpenProducer().ok());
  ASSERT_EQ(store_->Undelete(kRecording), absl::OkStatus());
  Commit(3, {TestChunkItem(TestChunk(kRecording, 1))});
  EXPECT_EQ(PositionsOf(All()), (Positions{1, 2}));
}

TEST_F(StoreTest, deleted_in_progress_and_something_refused__then_it_comes_back_failed) {
  ASSERT_EQ(store_->Delete(kRecording, absl::Hours(1)), absl::OkStatus());
  for (uint64_t sequence : {2, 3}) {
    const BatchResult result = Commit(sequence, {TestChunkItem(TestChunk(kRecording, sequence))});
    ASSERT_TRUE(result.refusal.has_value());
    EXPECT_EQ(result.refusal->reason, RefusalReason::kRecordingDeleted);
    Reopen();
    ASSERT_TRUE(store_->OpenProducer().ok());
  }
  ASSERT_EQ(store_->Undelete(kRecording), absl::OkStatus());
  const trace::v1::Recording back =
      store_->store().GetRecording(kDefaultTenant, kRecording).value();
  EXPECT_EQ(back.state(), trace::v1::RECORDING_STATE_FAILED);
  EXPECT_TRUE(absl::StrContains(back.failure(), "deleted while it was recorded"));
  EXPECT_TRUE(back.has_end_time());
  // The end that its producer says now is not that of a whole recording.
  Commit(4, {Recorded(kRecording, trace::v1::RECORDING_STATE_SEALED)});
  EXPECT_EQ(store_->store().GetRecording(kDefaultTenant, kRecording)->state(),
            trace::v1::RECORDING_STATE_FAILED);
}

TEST_F(StoreTest, came_back_failed__then_it_stays_as_it_is_also_after_a_restart) {
  const std::string chunk = TestChunk(kRecording, 0);
  Commit(2, {TestChunkItem(chunk)});
  ASSERT_EQ(store_->Delete(kRecording, absl::Hours(1)), absl::OkStatus());
  Commit(3, {TestChunkItem(TestChunk(kRecording, 1))});
  ASSERT_EQ(store_->Undelete(kRecording), absl::OkStatus());
  for (uint64_t sequence : {4, 6}) {
    EXPECT_FALSE(Commit(sequence, {TestChunkItem(chunk),
                                   Recorded(kRecording, trace::v1::RECORDING_STATE_FAILED)})
                     .refusal.has_value());
    const BatchResult result =
        Commit(sequence + 1, {TestChunkItem(TestChunk(kRecording, sequence))});
    ASSERT_TRUE(result.refusal.has_value());
    EXPECT_EQ(result.refusal->reason, RefusalReason::kRecordingDeleted);
    Reopen();
    ASSERT_TRUE(store_->OpenProducer().ok());
  }
  EXPECT_EQ(PositionsOf(All()), (Positions{1}));
}

TEST_F(StoreTest, producer_says_failed_itself__then_its_last_chunks_are_taken) {
  Commit(2, {Recorded(kRecording, trace::v1::RECORDING_STATE_FAILED)});
  Commit(3, {TestChunkItem(TestChunk(kRecording, 0))});
  EXPECT_EQ(PositionsOf(All()), (Positions{1}));
}

TEST_F(StoreTest, deleted_in_progress_and_nothing_refused__then_it_comes_back_in_progress) {
  ASSERT_EQ(store_->Delete(kRecording, absl::Hours(1)), absl::OkStatus());
  ASSERT_EQ(store_->Undelete(kRecording), absl::OkStatus());
  EXPECT_EQ(store_->store().GetRecording(kDefaultTenant, kRecording)->state(),
            trace::v1::RECORDING_STATE_RECORDING);
}

TEST_F(StoreTest, recording_that_is_not_deleted__then_it_is_not_brought_back) {
  EXPECT_EQ(store_->Undelete(kRecording).code(), absl::StatusCode::kNotFound);
}

TEST_F(StoreTest, recording_in_progress_is_purged__then_FAILED_PRECONDITION) {
  EXPECT_EQ(store_->Purge(kRecording).code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_EQ(store_->Delete(kRecording, absl::Hours(1)), absl::OkStatus());
  EXPECT_EQ(store_->Purge(kRecording, PurgeTime()), absl::OkStatus());
  EXPECT_EQ(store_->Undelete(kRecording).code(), absl::StatusCode::kNotFound);
}

TEST_F(StoreTest, recording_was_deleted_or_brought_back_since_it_was_seen__then_it_is_not_purged) {
  ASSERT_EQ(store_->Delete(kRecording, absl::Hours(1)), absl::OkStatus());
  EXPECT_EQ(store_->Purge(kRecording).code(), absl::StatusCode::kFailedPrecondition);
  const std::optional<int64_t> seen = PurgeTime();
  ASSERT_EQ(store_->Undelete(kRecording), absl::OkStatus());
  EXPECT_EQ(store_->Purge(kRecording, seen).code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_EQ(store_->Delete(kRecording, absl::Hours(2)), absl::OkStatus());
  EXPECT_EQ(store_->Purge(kRecording, seen).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(store_->Undelete(kRecording), absl::OkStatus());
}

}  // namespace
}  // namespace flightrec::backend
