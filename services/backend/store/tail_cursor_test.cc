#include "services/backend/store/tail_cursor.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "services/backend/store/blocking_store.h"
#include "services/backend/store/commit_watch.h"
#include "services/backend/store/keys.h"
#include "services/backend/store/test_items.h"

namespace flightrec::backend {
namespace {

constexpr uint64_t kMaxLag = 4;

class TailCursorTest : public ::testing::Test {
 protected:
  TailCursorTest() : recording_(TestRecordingId(1)), store_(MakeStoreDirectory()) {
    EXPECT_TRUE(store_.OpenProducer().ok());
    Add({RecordingItem{recording_, TestRecording(recording_)}});
  }

  void Add(std::vector<Item> items) {
    ASSERT_TRUE(store_.Commit(TestBatch(++sequence_, std::move(items))).ok());
  }
  void AddChunks(uint64_t count) {
    for (; count > 0; --count) Add({TestChunkItem(TestChunk(recording_, chunks_++))});
  }
  void Seal() {
    Add({RecordingItem{recording_, TestRecording(recording_, trace::v1::RECORDING_STATE_SEALED)}});
  }
  TailCursor Open(uint64_t after_position = 0) {
    return store_.store().Tail({kDefaultTenant, recording_, after_position, kMaxLag}).value();
  }

  const ids::Ulid recording_;
  BlockingStore store_;
  uint64_t sequence_ = 0;
  uint64_t chunks_ = 0;
};

uint64_t PositionOf(const absl::StatusOr<TailStep>& step) {
  const auto* chunk = std::get_if<StoredChunk>(&*step);
  return chunk == nullptr ? 0 : chunk->position;
}

TEST_F(TailCursorTest, recording_has_more_chunks_than_a_reader_may_lag__then_all_of_them_come) {
  AddChunks(3 * kMaxLag);
  TailCursor cursor = Open();
  for (uint64_t i = 1; i <= 3 * kMaxLag; ++i) EXPECT_EQ(PositionOf(cursor.Next(0)), i);
  EXPECT_TRUE(std::holds_alternative<TailWaits>(*cursor.Next(0)));
}

TEST_F(TailCursorTest, reader_falls_behind_what_came_since__then_a_gap_names_what_it_misses) {
  AddChunks(1);
  TailCursor cursor = Open();
  EXPECT_EQ(PositionOf(cursor.Next(0)), 1u);
  AddChunks(kMaxLag + 1);
  const absl::StatusOr<TailStep> step = cursor.Next(kMaxLag + 2);
  const auto* gap = std::get_if<TailGap>(&*step);
  ASSERT_NE(gap, nullptr);
  EXPECT_EQ(gap->first_position, 2u);
  EXPECT_EQ(gap->last_position, kMaxLag + 2 - kMaxLag / 2);
  EXPECT_EQ(PositionOf(cursor.Next(kMaxLag + 2)), gap->last_position + 1);
}

TEST_F(TailCursorTest, reader_is_as_far_behind_as_it_may__then_no_gap) {
  TailCursor cursor = Open();
  AddChunks(kMaxLag);
  EXPECT_EQ(PositionOf(cursor.Next(kMaxLag)), 1u);
}

TEST_F(TailCursorTest, sealed_before_its_last_chunks_are_announced__then_they_come_before_the_end) {
  AddChunks(1);
  TailCursor cursor = Open(1);
  AddChunks(2);
  Seal();
  EXPECT_EQ(PositionOf(cursor.Next(0)), 2u);
  EXPECT_EQ(PositionOf(cursor.Next(0)), 3u);
  const absl::StatusOr<TailStep> step = cursor.Next(0);
  const auto* end = std::get_if<TailEnd>(&*step);
  ASSERT_NE(end, nullptr);
  EXPECT_EQ(end->last_position, 3u);
}

TEST_F(TailCursorTest, recording_is_deleted__then_ABORTED) {
  TailCursor cursor = Open();
  ASSERT_TRUE(store_.Delete(recording_).ok());
  EXPECT_EQ(cursor.Next(0).status().code(), absl::StatusCode::kAborted);
}

TEST_F(TailCursorTest, unknown_recording_or_later_position__then_NOT_FOUND_or_OUT_OF_RANGE) {
  const TailQuery unknown{kDefaultTenant, TestRecordingId(2), 0, kMaxLag};
  EXPECT_EQ(store_.store().Tail(unknown).status().code(), absl::StatusCode::kNotFound);
  const TailQuery later{kDefaultTenant, recording_, 1, kMaxLag};
  EXPECT_EQ(store_.store().Tail(later).status().code(), absl::StatusCode::kOutOfRange);
}

TEST_F(TailCursorTest, chunk_is_committed__then_who_waits_is_called_with_its_position) {
  CommitWatch& watch = store_.store().watch();
  const uint64_t follower = watch.Follow(RecordingKey(kDefaultTenant, recording_));
  EXPECT_EQ(watch.LastPosition(follower), 0u);
  absl::Notification called;
  ASSERT_EQ(watch.WaitForNews(follower, [&called] { called.Notify(); }),
            CommitWatch::Wait::kWaiting);
  AddChunks(1);
  called.WaitForNotification();
  // The news has not been looked at.
  EXPECT_EQ(watch.WaitForNews(follower, [] {}), CommitWatch::Wait::kNews);
  EXPECT_EQ(watch.LastPosition(follower), 1u);
  EXPECT_FALSE(watch.Close(follower));
  EXPECT_EQ(watch.WaitForNews(follower, [] {}), CommitWatch::Wait::kClosed);
  watch.Unfollow(follower);
}

}  // namespace
}  // namespace flightrec::backend
