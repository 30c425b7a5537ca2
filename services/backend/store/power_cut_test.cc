// The power goes away at some step of a write: what was acknowledged is there when it comes back.
#include <gtest/gtest.h>
#include <rocksdb/env.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "services/backend/store/blocking_store.h"
#include "services/backend/store/faulty_file_system.h"
#include "services/backend/store/test_workload.h"

namespace flightrec::backend {
namespace {

constexpr int kRounds = 8;
constexpr int kLongRounds = 400;
constexpr uint64_t kBatchesPerRound = 60;
// Later rounds begin with another store, so that a round stays short.
constexpr uint64_t kMostBatches = 400;

bool Long() { return std::getenv("FLIGHTREC_LONG") != nullptr; }
int Rounds() { return Long() ? kLongRounds : kRounds; }

// A store on a machine whose power can go.
class Machine {
 public:
  Machine()
      : system_(std::make_shared<FaultyFileSystem>([this](absl::string_view step) {
          const uint64_t done = ++steps_;
          if (done == cut_at_ || step == cut_at_step_) {
            cut_at_step_.clear();
            system_->CutPower();
          }
          return rocksdb::IOStatus::OK();
        })),
        env_(rocksdb::NewCompositeEnv(system_)) {}

  FaultyFileSystem& system() { return *system_; }
  DatabaseOptions options() const {
    DatabaseOptions options = SmallFiles();
    options.env = env_.get();
    return options;
  }
  void CutAfter(uint64_t steps) { cut_at_ = steps_ + steps; }
  void CutAt(std::string step) { cut_at_step_ = std::move(step); }
  void NeverCut() {
    cut_at_ = 0;
    cut_at_step_.clear();
  }

 private:
  std::atomic<uint64_t> steps_ = 0;
  std::atomic<uint64_t> cut_at_ = 0;
  // Set while no other thread of RocksDB runs.
  std::string cut_at_step_;
  std::shared_ptr<FaultyFileSystem> system_;
  std::unique_ptr<rocksdb::Env> env_;
};

class PowerCut : public ::testing::TestWithParam<FaultyFileSystem::Tail> {
 protected:
  // Writes until the power goes, or the round is over.
  void WriteUntilCut() {
    const auto store = BlockingStore::Open(directory_, machine_.options());
    if (!store.ok()) return;
    const absl::StatusOr<uint64_t> durable = (*store)->OpenProducer();
    if (!durable.ok()) return;
    ASSERT_GE(*durable, acknowledged_);
    acknowledged_ = CommitWorkload(**store, *durable + 1, *durable + kBatchesPerRound);
    machine_.system().CutPower();
  }

  void RestoreAndCheck() {
    machine_.NeverCut();
    machine_.system().LoseUnsynced(GetParam(), random_);
    machine_.system().RestorePower();
    const auto store = BlockingStore::Open(directory_, machine_.options());
    ASSERT_EQ(store.status(), absl::OkStatus());
    const WorkloadReading reading = ReadWorkload(**store, acknowledged_);
    ASSERT_EQ(reading.problem, "");
    ASSERT_EQ(reading.reported, "");
    acknowledged_ = reading.durable_sequence;
    most_acknowledged_ = std::max(most_acknowledged_, acknowledged_);
    machine_.system().CutPower();
  }

  void StartAnotherWhenLong() {
    machine_.system().LoseUnsynced(FaultyFileSystem::Tail::kLost, random_);
    machine_.system().RestorePower();
    if (acknowledged_ < kMostBatches) return;
    directory_ = MakeStoreDirectory();
    acknowledged_ = 0;
  }

  std::mt19937 random_{42};
  Machine machine_;
  std::string directory_ = MakeStoreDirectory();
  uint64_t acknowledged_ = 0;
  uint64_t most_acknowledged_ = 0;
};

TEST_P(PowerCut, at_any_step__then_every_acknowledged_chunk_is_there) {
  for (int round = 0; round < Rounds(); ++round) {
    SCOPED_TRACE(absl::StrCat("round ", round, ", ", acknowledged_, " acknowledged"));
    machine_.CutAfter(1 + random_() % 300);
    ASSERT_NO_FATAL_FAILURE(WriteUntilCut());
    ASSERT_NO_FATAL_FAILURE(RestoreAndCheck());
    ASSERT_NO_FATAL_FAILURE(StartAnotherWhenLong());
  }
  EXPECT_GT(most_acknowledged_, 0u);
}

TEST_P(PowerCut, at_each_named_step__then_every_acknowledged_chunk_is_there) {
  // The others are as good at random steps, and slow.
  if (!Long() && GetParam() != FaultyFileSystem::Tail::kTorn) return;
  for (const std::string& step : FileSteps()) {
    SCOPED_TRACE(absl::StrCat(step, ", ", acknowledged_, " acknowledged"));
    machine_.CutAt(step);
    ASSERT_NO_FATAL_FAILURE(WriteUntilCut());
    ASSERT_NO_FATAL_FAILURE(RestoreAndCheck());
    ASSERT_NO_FATAL_FAILURE(StartAnotherWhenLong());
  }
  EXPECT_GT(most_acknowledged_, 0u);
}

std::string TailName(const ::testing::TestParamInfo<FaultyFileSystem::Tail>& info) {
  const char* const names[] = {"lost", "kept", "torn"};
  return names[static_cast<size_t>(info.param)];
}

INSTANTIATE_TEST_SUITE_P(Tails, PowerCut,
                         ::testing::Values(FaultyFileSystem::Tail::kLost,
                                           FaultyFileSystem::Tail::kKept,
                                           FaultyFileSystem::Tail::kTorn),
                         TailName);

}  // namespace
}  // namespace flightrec::backend
