// Writes fail for a while: nothing is acknowledged, everything can be read, and it goes on by
// itself.
#include <gtest/gtest.h>
#include <rocksdb/env.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "services/backend/store/blocking_store.h"
#include "services/backend/store/faulty_file_system.h"
#include "services/backend/store/test_workload.h"

namespace flightrec::backend {
namespace {

constexpr int kMostAttempts = 100;

struct Fault {
  const char* name;
  rocksdb::IOStatus status;
  absl::StatusCode code;
};

class FullDisk : public ::testing::TestWithParam<Fault> {
 protected:
  FullDisk()
      : env_(rocksdb::NewCompositeEnv(
            std::make_shared<FaultyFileSystem>([this](absl::string_view step) {
              const bool grows =
                  absl::EndsWith(step, "append.before") || absl::EndsWith(step, "create.before");
              return failing_ && grows ? GetParam().status : rocksdb::IOStatus::OK();
            }))) {
    DatabaseOptions options = SmallFiles();
    options.env = env_.get();
    store_ = std::make_unique<BlockingStore>(MakeStoreDirectory(), options);
    EXPECT_TRUE(store_->OpenProducer().ok());
  }

  // A producer tries again after RetryInfo: what RocksDB does in the background may fail once more.
  uint64_t CommitWithRetries(uint64_t next, uint64_t last) {
    uint64_t done = next - 1;
    for (int attempt = 0; attempt < kMostAttempts && done < last; ++attempt) {
      done = CommitWorkload(*store_, done + 1, last);
    }
    return done;
  }

  std::atomic<bool> failing_ = false;
  std::unique_ptr<rocksdb::Env> env_;
  std::unique_ptr<BlockingStore> store_;
};

TEST_P(FullDisk, writes_fail_and_then_work__then_nothing_acknowledged_is_lost_without_a_restart) {
  uint64_t acknowledged = 0;
  for (int time = 0; time < 2; ++time) {
    const uint64_t before = acknowledged;
    acknowledged = CommitWithRetries(before + 1, before + 40);
    ASSERT_EQ(acknowledged, before + 40);
    failing_ = true;
    for (int attempt = 0; attempt < 3; ++attempt) {
      EXPECT_EQ(store_->Commit(WorkloadBatch(acknowledged + 1)).status().code(), GetParam().code);
    }
    EXPECT_TRUE(store_->store().GetRecording("default", WorkloadRecording(1)).ok());
    failing_ = false;
  }
  acknowledged = CommitWithRetries(acknowledged + 1, acknowledged + 1);
  const WorkloadReading reading = ReadWorkload(*store_, acknowledged);
  EXPECT_EQ(reading.problem, "");
  EXPECT_EQ(reading.reported, "");
  EXPECT_EQ(reading.durable_sequence, 81u);
}

INSTANTIATE_TEST_SUITE_P(
    Faults, FullDisk,
    ::testing::Values(Fault{"full", rocksdb::IOStatus::NoSpace("no space left"),
                            absl::StatusCode::kResourceExhausted},
                      Fault{"read_only", rocksdb::IOStatus::IOError(std::strerror(EROFS)),
                            absl::StatusCode::kResourceExhausted},
                      Fault{"broken", rocksdb::IOStatus::IOError(std::strerror(EIO)),
                            absl::StatusCode::kUnavailable}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace flightrec::backend
