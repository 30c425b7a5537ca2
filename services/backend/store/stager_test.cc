#include "services/backend/store/stager.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/testing/simulated_clock.h"
#include "services/backend/store/blocking_store.h"
#include "services/backend/store/keys.h"
#include "services/backend/store/test_items.h"

namespace flightrec::backend {
namespace {

const ids::Ulid kRecording = TestRecordingId(1);

// What a recording says of when something of it was received last.
class LastReceived : public ::testing::Test {
 protected:
  LastReceived() {
    EXPECT_TRUE(stager_->OpenProducer({kDefaultTenant, "p", 1}).ok());
    trace::v1::Recording recording = TestRecording(kRecording);
    recording.mutable_last_received_time()->set_seconds(1);
    Add({RecordingItem{kRecording, recording}});
  }

  void Add(std::vector<Item> items) {
    const absl::StatusOr<BatchResult> result =
        stager_->Add(TestBatch(++sequence_, std::move(items)));
    ASSERT_TRUE(result.ok() && !result->refusal.has_value());
    ASSERT_EQ(database_->WriteSynced(stager_->write()), absl::OkStatus());
    stager_->Clear(true);
  }
  void AddChunk() { Add({TestChunkItem(TestChunk(kRecording, chunks_++))}); }
  // Since the start.
  absl::Duration Read() {
    trace::v1::Recording recording;
    recording.ParseFromString(
        database_->Get(Family::kRecordings, RecordingKey(kDefaultTenant, kRecording))->value());
    return absl::FromUnixSeconds(recording.last_received_time().seconds()) - start_;
  }

  testing::SimulatedClock clock_;
  const absl::Time start_ = clock_.Now();
  std::unique_ptr<Database> database_ = Database::Open(MakeStoreDirectory()).value();
  std::unique_ptr<Stager> stager_ = std::make_unique<Stager>(*database_, clock_);
  uint64_t sequence_ = 0;
  uint64_t chunks_ = 0;
};

TEST_F(LastReceived, producer_says_something_else__then_it_is_this_clocks) {
  EXPECT_EQ(Read(), absl::ZeroDuration());
}

TEST_F(LastReceived, chunks_come__then_it_is_written_again_after_the_step_only) {
  clock_.Advance(kReceivedTimeStep - absl::Seconds(1));
  AddChunk();
  EXPECT_EQ(Read(), absl::ZeroDuration());
  clock_.Advance(absl::Seconds(1));
  AddChunk();
  EXPECT_EQ(Read(), kReceivedTimeStep);
}

TEST_F(LastReceived, something_else_of_it_comes__then_that_counts_too) {
  clock_.Advance(kReceivedTimeStep);
  Add({ProcessItem{{kRecording, kTestProcess}, TestProcess(kRecording)}});
  EXPECT_EQ(Read(), kReceivedTimeStep);
}

TEST_F(LastReceived, backend_was_started_again__then_the_step_counts_from_what_is_stored) {
  stager_ = std::make_unique<Stager>(*database_, clock_);
  clock_.Advance(absl::Seconds(1));
  AddChunk();
  EXPECT_EQ(Read(), absl::ZeroDuration());
  clock_.Advance(kReceivedTimeStep);
  AddChunk();
  EXPECT_EQ(Read(), kReceivedTimeStep + absl::Seconds(1));
}

TEST(Stager, recording_is_purged_before_any_was_counted__then_there_is_room_for_one) {
  const std::unique_ptr<Database> database = Database::Open(MakeStoreDirectory()).value();
  testing::SimulatedClock clock;
  uint64_t sequence = 0;
  const auto add = [&sequence](Stager& stager, uint8_t number) {
    const ids::Ulid id = TestRecordingId(number);
    return stager.Add(TestBatch(
        ++sequence, {RecordingItem{id, TestRecording(id, trace::v1::RECORDING_STATE_SEALED)}}));
  };
  Stager before(*database, clock, /*max_recordings=*/2);
  ASSERT_TRUE(before.OpenProducer({kDefaultTenant, "p", 1}).ok());
  for (uint8_t number : {1, 2}) EXPECT_FALSE(add(before, number)->refusal.has_value());
  ASSERT_EQ(database->WriteSynced(before.write()), absl::OkStatus());

  Stager stager(*database, clock, /*max_recordings=*/2);
  EXPECT_EQ(stager.Purge(kDefaultTenant, kRecording), absl::OkStatus());
  EXPECT_FALSE(add(stager, 3)->refusal.has_value());
  ASSERT_EQ(database->WriteSynced(stager.write()), absl::OkStatus());
  stager.Clear(true);
  const absl::StatusOr<BatchResult> one_too_many = add(stager, 4);
  ASSERT_TRUE(one_too_many->refusal.has_value());
  EXPECT_EQ(one_too_many->refusal->reason, RefusalReason::kTooManyRecordings);
}

}  // namespace
}  // namespace flightrec::backend
