#include "services/backend/retention.h"

#include <gtest/gtest.h>
#include <rocksdb/env.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "common/testing/simulated_clock.h"
#include "services/backend/store/blocking_store.h"
#include "services/backend/store/faulty_file_system.h"
#include "services/backend/store/keys.h"
#include "services/backend/store/test_items.h"

namespace flightrec::backend {
namespace {

constexpr absl::Duration kWindow = absl::Hours(24);

// A clock that somebody sets.
class AdjustableClock : public testing::SimulatedClock {
 public:
  AdjustableClock() : SimulatedClock(absl::Now()) {}
  absl::Time Now() override {
    const absl::Time now = SimulatedClock::Now() + moved_;
    moved_ += std::exchange(after_next_look_, absl::ZeroDuration());
    return now;
  }
  void Move(absl::Duration by) { moved_ += by; }
  void MoveAfterNextLook(absl::Duration by) { after_next_look_ = by; }

 private:
  absl::Duration moved_ = absl::ZeroDuration();
  absl::Duration after_next_look_ = absl::ZeroDuration();
};

class RetentionTest : public ::testing::Test {
 protected:
  RetentionTest() { EXPECT_TRUE(store_.OpenProducer().ok()); }

  // With one chunk; ended now unless it is in progress, which a producer's clock has as `off`
  // later.
  void Add(const ids::Ulid& id, bool in_progress = false,
           absl::Duration off = absl::ZeroDuration()) {
    trace::v1::Recording recording = TestRecording(
        id, in_progress ? trace::v1::RECORDING_STATE_RECORDING : trace::v1::RECORDING_STATE_SEALED);
    recording.mutable_end_time()->set_seconds(absl::ToUnixSeconds(clock_.Now() + off));
    const absl::StatusOr<BatchResult> result = store_.Commit(
        TestBatch(++sequence_, {RecordingItem{id, TestRecording(id)},
                                TestChunkItem(TestChunk(id, 0)), RecordingItem{id, recording}}));
    ASSERT_TRUE(result.ok() && !result->refusal.has_value());
  }
  size_t Run(RetentionLimits limits) {
    if (retention_ == nullptr) {
      retention_ =
          std::make_unique<Retention>(store_.store(), limits, clock_, logger_, store_.registry());
    }
    return retention_->RunOnce().value();
  }
  bool Has(const ids::Ulid& id) { return store_.store().GetRecording(kDefaultTenant, id).ok(); }
  static RetentionLimits Age(absl::Duration age) {
    RetentionLimits limits;
    limits.age = age;
    return limits;
  }

  const ids::Ulid first_ = TestRecordingId(1);
  const ids::Ulid second_ = TestRecordingId(2);
  const ids::Ulid third_ = TestRecordingId(3);
  AdjustableClock clock_;
  log::Logger logger_{"backend", log::Level::kError};
  BlockingStore store_{MakeStoreDirectory(), {}, clock_};
  uint64_t sequence_ = 0;
  std::unique_ptr<Retention> retention_;
};

TEST_F(RetentionTest, no_limits__then_everything_stays) {
  Add(first_);
  clock_.Advance(absl::Hours(24 * 3650));
  EXPECT_EQ(Run({}), 0u);
  EXPECT_TRUE(Has(first_));
}

TEST_F(RetentionTest, recording_ended_long_ago__then_it_goes_and_one_in_progress_stays) {
  Add(first_);
  Add(second_, /*in_progress=*/true);
  EXPECT_EQ(Run(Age(absl::Hours(10))), 0u);
  clock_.Advance(absl::Hours(10));
  Add(third_);
  EXPECT_EQ(Run(Age(absl::Hours(10))), 1u);
  EXPECT_FALSE(Has(first_));
  EXPECT_TRUE(Has(second_));
  EXPECT_TRUE(Has(third_));
  EXPECT_TRUE(absl::StrContains(store_.registry().Exposition(),
                                "recordings_purged_total{reason=\"age\"} 1"));
}

TEST_F(RetentionTest, clock_of_a_producer_is_wrong__then_the_age_is_that_since_it_was_received) {
  Add(first_, /*in_progress=*/false, -absl::Hours(24 * 365));
  Add(second_, /*in_progress=*/false, absl::Hours(24 * 365));
  EXPECT_EQ(Run(Age(absl::Hours(10))), 0u);
  clock_.Advance(absl::Hours(10));
  EXPECT_EQ(Run(Age(absl::Hours(10))), 2u);
}

TEST_F(RetentionTest, clock_is_set_ahead__then_nothing_goes_until_it_is_back) {
  Add(first_);
  EXPECT_EQ(Run(Age(absl::Hours(10))), 0u);
  clock_.Move(absl::Hours(24 * 365));
  EXPECT_EQ(Run(Age(absl::Hours(10))), 0u);
  EXPECT_TRUE(Has(first_));
  EXPECT_TRUE(
      absl::StrContains(store_.registry().Exposition(), "backend_retention_clock_unsound 1"));
  clock_.Move(-absl::Hours(24 * 365));
  clock_.Advance(absl::Hours(10));
  EXPECT_EQ(Run(Age(absl::Hours(10))), 1u);
}

TEST_F(RetentionTest, clock_is_set_ahead_during_a_look__then_nothing_goes) {
  Add(first_);
  EXPECT_EQ(Run(Age(absl::Hours(10))), 0u);
  clock_.MoveAfterNextLook(absl::Hours(24 * 365));
  EXPECT_EQ(Run(Age(absl::Hours(10))), 0u);
  EXPECT_TRUE(Has(first_));
}

TEST_F(RetentionTest, too_many_bytes__then_the_oldest_that_is_not_in_progress_goes) {
  Add(first_, /*in_progress=*/true);
  Add(second_);
  Add(third_);
  RetentionLimits limits;
  limits.bytes = static_cast<int64_t>(2 * TestChunk(first_, 0).size() + 64);
  EXPECT_EQ(Run(limits), 1u);
  EXPECT_TRUE(Has(first_));
  EXPECT_FALSE(Has(second_));
  EXPECT_TRUE(Has(third_));
  EXPECT_EQ(Run(limits), 0u);
}

TEST_F(RetentionTest, too_many_bytes__then_deleted_recordings_go_first) {
  Add(first_);
  Add(second_);
  Add(third_);
  ASSERT_EQ(store_.Delete(third_, kWindow), absl::OkStatus());
  RetentionLimits limits;
  limits.bytes = static_cast<int64_t>(2 * TestChunk(first_, 0).size() + 64);
  EXPECT_EQ(Run(limits), 1u);
  EXPECT_TRUE(Has(first_));
  EXPECT_TRUE(Has(second_));
  EXPECT_EQ(store_.Undelete(third_).code(), absl::StatusCode::kNotFound);
}

TEST_F(RetentionTest, window_of_a_deleted_recording_is_over__then_it_cannot_be_brought_back) {
  Add(first_);
  Add(second_);
  ASSERT_EQ(store_.Delete(first_, kWindow), absl::OkStatus());
  ASSERT_EQ(store_.Delete(second_, kWindow), absl::OkStatus());
  EXPECT_EQ(Run({}), 0u);
  EXPECT_EQ(store_.Undelete(first_), absl::OkStatus());
  // Seconds are what a time of deletion has.
  clock_.Advance(kWindow + absl::Minutes(1));
  EXPECT_EQ(Run({}), 1u);
  EXPECT_TRUE(Has(first_));
  EXPECT_EQ(store_.Undelete(second_).code(), absl::StatusCode::kNotFound);
}

TEST_F(RetentionTest, tables_are_damaged__then_disk_space_is_not_asked_for_again_and_again) {
  const auto system =
      std::make_shared<FaultyFileSystem>([](auto) { return rocksdb::IOStatus::OK(); });
  const std::unique_ptr<rocksdb::Env> env = rocksdb::NewCompositeEnv(system);
  DatabaseOptions options;
  options.env = env.get();
  BlockingStore store(MakeStoreDirectory(), options, clock_);
  ASSERT_TRUE(store.OpenProducer().ok());
  ASSERT_TRUE(
      store
          .Commit(TestBatch(
              1, {RecordingItem{first_, TestRecording(first_)}, TestChunkItem(TestChunk(first_, 0)),
                  RecordingItem{first_, TestRecording(first_, trace::v1::RECORDING_STATE_SEALED)}}))
          .ok());
  Retention retention(store.store(), Age(absl::Hours(10)), clock_, logger_, store.registry());
  clock_.Advance(absl::Hours(10));
  system->FailReads(rocksdb::IOStatus::Corruption("damaged"));
  EXPECT_EQ(retention.RunOnce().status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(retention.RunOnce().value_or(1), 0u);
  system->FailReads(rocksdb::IOStatus::OK());
}

}  // namespace
}  // namespace flightrec::backend
