// A write fails once and the store has to be opened again: it does so before it takes anything
// more, and tries until that works.
#include <gtest/gtest.h>
#include <rocksdb/env.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "services/backend/store/blocking_store.h"
#include "services/backend/store/commit_watch.h"
#include "services/backend/store/database.h"
#include "services/backend/store/faulty_file_system.h"
#include "services/backend/store/integrity.h"
#include "services/backend/store/keys.h"
#include "services/backend/store/test_workload.h"

namespace flightrec::backend {
namespace {

constexpr absl::Duration kSlowAppend = absl::Milliseconds(300);
// Of a table that takes many appends.
constexpr uint64_t kEntries = 12;
constexpr size_t kEntryBytes = size_t{1} << 20;
constexpr absl::Duration kWakeLimit = absl::Seconds(30);

class Recovery : public ::testing::Test {
 protected:
  Recovery()
      : env_(rocksdb::NewCompositeEnv(std::make_shared<FaultyFileSystem>(
            [this](absl::string_view step) { return TakeFault(step); }))) {
    store_ = std::make_unique<BlockingStore>(MakeStoreDirectory(), options());
    EXPECT_TRUE(store_->OpenProducer().ok());
  }

  DatabaseOptions options() const {
    DatabaseOptions options = SmallFiles();
    options.env = env_.get();
    return options;
  }

  void FailOnce(const std::string& step) {
    absl::MutexLock lock(&mutex_);
    faults_.insert(step);
  }
  bool faults_are_over() {
    absl::MutexLock lock(&mutex_);
    return faults_.empty();
  }

  // Both batches in one write, which comes after that of `before`; what they are told.
  struct Answers {
    absl::Status first;
    absl::Status second;
  };
  Answers CommitAsOneGroup(uint64_t before, const std::string& failing_step) {
    absl::Notification reached, queued, done;
    Answers answers;
    // Holds the committing thread while the group is handed in.
    store_->store().Commit(WorkloadBatch(before), [&](const absl::StatusOr<BatchResult>& result) {
      EXPECT_TRUE(result.ok()) << result.status();
      reached.Notify();
      queued.WaitForNotification();
    });
    reached.WaitForNotification();
    FailOnce(failing_step);
    store_->store().Commit(
        WorkloadBatch(before + 1),
        [&](const absl::StatusOr<BatchResult>& result) { answers.first = result.status(); });
    store_->store().Commit(WorkloadBatch(before + 2),
                           [&](const absl::StatusOr<BatchResult>& result) {
                             answers.second = result.status();
                             done.Notify();
                           });
    queued.Notify();
    done.WaitForNotification();
    return answers;
  }

  void ExpectWhole(uint64_t acknowledged) {
    const WorkloadReading reading = ReadWorkload(*store_, acknowledged);
    EXPECT_EQ(reading.problem, "");
    EXPECT_EQ(reading.reported, "");
    EXPECT_EQ(reading.durable_sequence, acknowledged);
    IntegrityScan scan(store_->store().database(), [](const StoreDamage& damage) {
      ADD_FAILURE() << damage.recording << " position " << damage.position << ": "
                    << damage.problem;
      return true;
    });
    while (scan.Step()) {
    }
    EXPECT_EQ(scan.totals().chunks, acknowledged);
  }

  rocksdb::IOStatus TakeFault(absl::string_view step) {
    if (slow_ && step == "table.append.before") {
      ++slow_appends_;
      std::call_once(appended_, [this] { appending_.Notify(); });
      not_slow_.WaitForNotificationWithTimeout(kSlowAppend);
    }
    absl::MutexLock lock(&mutex_);
    if (faults_.erase(std::string(step)) == 0) return rocksdb::IOStatus::OK();
    return rocksdb::IOStatus::IOError(std::strerror(EIO));
  }

  absl::Mutex mutex_;
  std::set<std::string> faults_ ABSL_GUARDED_BY(mutex_);
  // A disk on which every append to a table takes kSlowAppend, until not_slow_.
  std::atomic<bool> slow_ = false;
  std::atomic<uint64_t> slow_appends_ = 0;
  std::once_flag appended_;
  absl::Notification appending_;
  absl::Notification not_slow_;
  std::unique_ptr<rocksdb::Env> env_;
  std::unique_ptr<BlockingStore> store_;
};

TEST_F(Recovery, log_gives_back_group_that_failed__then_batches_sent_again_overwrite_nothing) {
  ASSERT_EQ(CommitWorkload(*store_, 1, 3), 3u);
  const Answers answers = CommitAsOneGroup(4, "wal.sync.before");
  EXPECT_EQ(answers.first.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(answers.second.code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(faults_are_over());
  for (uint64_t sequence : {5, 6}) {
    const absl::StatusOr<BatchResult> again = store_->Commit(WorkloadBatch(sequence));
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_FALSE(again->refusal.has_value());
    // The whole group is back.
    EXPECT_EQ(again->durable_sequence, 6u);
  }
  ASSERT_EQ(CommitWorkload(*store_, 7, 7), 7u);
  ExpectWhole(7);
}

TEST_F(Recovery, producer_reconnects_after_failed_group__then_it_hears_what_the_log_gave_back) {
  ASSERT_EQ(CommitWorkload(*store_, 1, 3), 3u);
  CommitAsOneGroup(4, "wal.sync.before");
  const absl::StatusOr<uint64_t> durable = store_->OpenProducer();
  ASSERT_TRUE(durable.ok()) << durable.status();
  EXPECT_EQ(*durable, 6u);
  ASSERT_EQ(CommitWorkload(*store_, 7, 12), 12u);
  ExpectWhole(12);
}

TEST_F(Recovery, opening_again_fails_once__then_ingest_goes_on_without_a_restart) {
  ASSERT_EQ(CommitWorkload(*store_, 1, 4), 4u);
  FailOnce("wal.sync.before");
  EXPECT_EQ(store_->Commit(WorkloadBatch(5)).status().code(), absl::StatusCode::kUnavailable);
  FailOnce("manifest.create.before");
  EXPECT_EQ(store_->Commit(WorkloadBatch(5)).status().code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(faults_are_over());
  ASSERT_EQ(CommitWorkload(*store_, 5, 20), 20u);
  ExpectWhole(20);
}

TEST_F(Recovery, log_gives_back_group_that_failed__then_who_follows_the_recording_hears_of_it) {
  ASSERT_EQ(CommitWorkload(*store_, 1, 3), 3u);
  CommitWatch& watch = store_->store().watch();
  const uint64_t follower = watch.Follow(RecordingKey(kDefaultTenant, WorkloadRecording(1)));
  CommitAsOneGroup(4, "wal.sync.before");
  // Of batch 4, which was acknowledged.
  EXPECT_EQ(watch.LastPosition(follower), 4u);
  absl::Notification called;
  ASSERT_EQ(watch.WaitForNews(follower, [&called] { called.Notify(); }),
            CommitWatch::Wait::kWaiting);
  ASSERT_TRUE(store_->OpenProducer().ok());
  ASSERT_TRUE(called.WaitForNotificationWithTimeout(kWakeLimit));
  EXPECT_EQ(watch.LastPosition(follower), 6u);
  watch.Unfollow(follower);
}

TEST_F(Recovery, reader_of_a_check_is_slow__then_the_database_is_opened_again_meanwhile) {
  const std::unique_ptr<Database> database =
      Database::Open(MakeStoreDirectory(), options()).value();
  rocksdb::WriteBatch damaged;
  damaged.Put(database->family(Family::kThreads),
              ThreadKey(kDefaultTenant, WorkloadRecording(1), 1, 2), "\xff");
  ASSERT_EQ(database->WriteSynced(damaged), absl::OkStatus());
  int reports = 0;
  // Needs the database to itself while the report is not taken.
  IntegrityScan scan(*database, [&](const StoreDamage&) {
    ++reports;
    FailOnce("wal.sync.before");
    rocksdb::WriteBatch failing;
    failing.Put(database->family(Family::kDefault), "key", "");
    EXPECT_FALSE(database->WriteSynced(failing).ok());
    EXPECT_EQ(database->Recover(), absl::OkStatus());
    return true;
  });
  while (scan.Step()) {
  }
  EXPECT_EQ(reports, 1);
}

TEST_F(Recovery, compaction_is_under_way__then_it_is_ended_and_writes_go_on) {
  const std::unique_ptr<Database> database =
      Database::Open(MakeStoreDirectory(), options()).value();
  std::mt19937_64 random(3);
  for (uint64_t i = 0; i < kEntries; ++i) {
    std::string noise(kEntryBytes, '\0');
    for (char& byte : noise) byte = static_cast<char>(random());
    ASSERT_EQ(database->Put(Family::kFunctions, std::to_string(i), noise), absl::OkStatus());
  }
  ASSERT_EQ(database->Reclaim(Family::kFunctions), absl::OkStatus());
  ASSERT_EQ(database->Put(Family::kFunctions, "another", ""), absl::OkStatus());
  slow_ = true;
  absl::Status compacted;
  std::thread compaction([&] { compacted = database->Reclaim(Family::kFunctions); });
  appending_.WaitForNotification();
  FailOnce("wal.sync.before");
  rocksdb::WriteBatch failing;
  failing.Put(database->family(Family::kDefault), "key", "");
  EXPECT_FALSE(database->WriteSynced(failing).ok());
  EXPECT_EQ(database->Recover(), absl::OkStatus());
  // Not all that the compaction had to write.
  EXPECT_LT(slow_appends_, kEntries / 2);
  not_slow_.Notify();
  compaction.join();
  EXPECT_EQ(compacted.code(), absl::StatusCode::kUnavailable) << compacted;
  slow_ = false;
  EXPECT_EQ(database->Reclaim(Family::kFunctions), absl::OkStatus());
}

}  // namespace
}  // namespace flightrec::backend
