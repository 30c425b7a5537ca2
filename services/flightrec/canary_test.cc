// The canary on a real backend process that each fault of the crash suite befalls: where nothing
// acknowledged is lost it says no more than that the backend was away; what is lost it names.
#include "services/flightrec/canary.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/backend/crash_process.h"
#include "services/backend/store/faulty_file_system.h"

namespace flightrec::cli {
namespace {

constexpr std::chrono::seconds kConnectLimit{60};
constexpr std::chrono::seconds kAttempt{1};
// Within which a step comes that comes at all, with files as small as crash_backend's.
constexpr int kMostRounds = 40;
constexpr int kRoundsBefore = 12;
// Of a fault with a beginning and an end.
constexpr int kRoundsMeanwhile = 3;
constexpr int kMostRetries = 100;
// Several looks of retention.
constexpr absl::Duration kClockIsAhead = absl::Seconds(1);
constexpr size_t kBytesPerFlip = 256;

bool Long() { return std::getenv("FLIGHTREC_LONG") != nullptr; }

std::string MakeDirectory(const std::string& parent) {
  std::string directory = parent + "/canary_XXXXXX";
  return mkdtemp(directory.data());
}

class CanaryOnFaults : public ::testing::Test {
 protected:
  ~CanaryOnFaults() override {
    process_.reset();
    std::filesystem::remove_all(socket_directory_);
  }

  // Ends the backend before, as kill -9 does. False: it does not start, says failure(), or its
  // fault has ended it.
  bool Start(backend::CrashOptions options) {
    process_.reset();
    options.store = store_;
    options.listen = listen_;
    process_.emplace(options);
    const std::string address = process_->AwaitAddress();
    if (address.empty()) return false;
    if (canary_ == nullptr) Connect(address);
    AwaitConnection();
    return true;
  }

  // The channel may not know yet that the backend before has gone; this one may have gone as well.
  void AwaitConnection() {
    const auto limit = std::chrono::system_clock::now() + kConnectLimit;
    grpc::Status status;
    do {
      ASSERT_LT(std::chrono::system_clock::now(), limit) << status.error_message();
      grpc::ClientContext context;
      context.set_wait_for_ready(true);
      context.set_deadline(std::chrono::system_clock::now() + kAttempt);
      read::v1::ListRecordingsResponse response;
      status = read_->ListRecordings(&context, read::v1::ListRecordingsRequest(), &response);
    } while (!status.ok() && !process_->HasEnded());
  }

  void Connect(const std::string& address) {
    grpc::ChannelArguments arguments;
    for (const char* backoff :
         {GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, GRPC_ARG_MIN_RECONNECT_BACKOFF_MS,
          GRPC_ARG_MAX_RECONNECT_BACKOFF_MS}) {
      arguments.SetInt(backoff, 100);
    }
    channel_ = grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
    ingest_ = ingest::v1::IngestService::NewStub(channel_);
    read_ = read::v1::ReadService::NewStub(channel_);
    canary_ = std::make_unique<Canary>(*ingest_, *read_, ids_, clock::RealClock(), registry_);
  }

  absl::Status Round() { return canary_->Round().status; }
  void ExpectGoodRounds(int rounds) {
    for (int i = 0; i < rounds; ++i) ASSERT_EQ(Round(), absl::OkStatus()) << "round " << i;
  }
  // The first one that is not good.
  absl::Status RoundsUntilBad() {
    absl::Status status;
    for (int i = 0; i < kMostRounds && status.ok(); ++i) status = Round();
    return status;
  }
  bool Counted(const std::string& line) {
    return absl::StrContains(registry_.Exposition(), absl::StrCat("flightrec_canary_", line));
  }
  bool CountedDamage() {
    return !Counted("damaged_recordings_total 0") || Counted("{status=\"DATA_LOSS\"}");
  }

  // Dies at each of `steps` by `fault`; how often that came.
  int EndAtEach(const std::string& fault, const std::vector<std::string>& steps) {
    int ended = 0;
    for (const std::string& step : steps) {
      SCOPED_TRACE(absl::StrCat(fault, " at ", step));
      if (!Start({.fault = fault, .step = step, .count = 4})) {
        // While it was opening its store.
        EXPECT_EQ(process_->failure(), "");
        ++ended;
      } else if (const absl::Status status = RoundsUntilBad(); !status.ok()) {
        ++ended;
        EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
      }
      EXPECT_TRUE(Start({})) << process_->failure();
      ExpectGoodRounds(2);
    }
    return ended;
  }

  const std::string store_ = MakeDirectory(::testing::TempDir());
  std::optional<backend::CrashProcess> process_;
  // No other program takes it between two backends. Not in store_: that is too long for a socket.
  const std::string socket_directory_ = MakeDirectory("/tmp");
  const std::string listen_ = absl::StrCat("unix:", socket_directory_, "/backend.sock");
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<ingest::v1::IngestService::Stub> ingest_;
  std::unique_ptr<read::v1::ReadService::Stub> read_;
  absl::BitGen random_;
  ids::UlidGenerator ids_{clock::RealClock(), random_};
  metrics::Registry registry_;
  std::unique_ptr<Canary> canary_;
};

std::vector<std::string> Steps() {
  if (Long()) return backend::FileSteps();
  return {"wal.append.after",  "wal.sync.before",   "wal.sync.after",
          "blob.append.after", "table.sync.before", "manifest.append.after"};
}

TEST_F(CanaryOnFaults, backend_is_killed_at_a_step_of_a_write__then_it_was_away_and_lost_nothing) {
  ASSERT_TRUE(Start({}));
  ExpectGoodRounds(1);
  EXPECT_GE(EndAtEach("kill", Steps()), 4);
  EXPECT_TRUE(Counted("failed_rounds_total{status=\"UNAVAILABLE\"}"));
  EXPECT_FALSE(CountedDamage());
}

TEST_F(CanaryOnFaults, power_goes_at_a_step_of_a_write__then_it_was_away_and_lost_nothing) {
  ASSERT_TRUE(Start({}));
  ExpectGoodRounds(1);
  EXPECT_GE(EndAtEach("power_cut", Steps()), 4);
  EXPECT_TRUE(Counted("failed_rounds_total{status=\"UNAVAILABLE\"}"));
  EXPECT_FALSE(CountedDamage());
}

TEST_F(CanaryOnFaults, disk_lies_about_syncs_and_the_power_goes__then_it_names_what_is_lost) {
  ASSERT_TRUE(Start({}));
  ExpectGoodRounds(2);
  ASSERT_TRUE(Start({.fault = "lost_syncs", .step = "wal.sync.after", .count = 5}));
  EXPECT_EQ(RoundsUntilBad().code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(Start({}));
  const absl::Status status = Round();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(absl::StrContains(status.message(), "the backend knows up to")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "recordings/")) << status;
  EXPECT_TRUE(Counted("failed_rounds_total{status=\"DATA_LOSS\"} 1"));
  EXPECT_FALSE(Counted("damaged_recordings_total 0"));
  // Said once.
  ExpectGoodRounds(2);
}

TEST_F(CanaryOnFaults, disk_is_full_for_a_while__then_it_says_so_and_lost_nothing) {
  ASSERT_TRUE(Start({.fault = "full"}));
  ExpectGoodRounds(kRoundsBefore);
  process_->Toggle();
  for (int i = 0; i < kRoundsMeanwhile; ++i) {
    EXPECT_EQ(Round().code(), absl::StatusCode::kResourceExhausted);
  }
  process_->Toggle();
  // What the store does in the background may fail once more.
  int retries = 0;
  while (!Round().ok() && retries < kMostRetries) ++retries;
  ASSERT_LT(retries, kMostRetries);
  ExpectGoodRounds(2);
  EXPECT_TRUE(Counted("failed_rounds_total{status=\"RESOURCE_EXHAUSTED\"}"));
  EXPECT_FALSE(CountedDamage());
}

TEST_F(CanaryOnFaults, there_are_too_many_recordings__then_it_takes_nothing_and_lost_nothing) {
  ASSERT_TRUE(Start({.fault = "few", .count = 2}));
  ExpectGoodRounds(2);
  EXPECT_EQ(Round().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_FALSE(CountedDamage());
}

TEST_F(CanaryOnFaults, clock_jumps_a_year_ahead_and_back__then_retention_takes_nothing) {
  ASSERT_TRUE(Start({.fault = "clock"}));
  ExpectGoodRounds(kRoundsBefore);
  process_->Toggle();
  const absl::Time end = absl::Now() + kClockIsAhead;
  while (absl::Now() < end) ASSERT_EQ(Round(), absl::OkStatus());
  process_->Toggle();
  ExpectGoodRounds(kRoundsBefore);
  EXPECT_FALSE(CountedDamage());
}

struct Damage {
  const char* name;
  const char* files;
  bool cut;
};

class CanaryOnDamage : public CanaryOnFaults, public ::testing::WithParamInterface<Damage> {
 protected:
  void DamageFiles() {
    int damaged = 0;
    for (const auto& entry : std::filesystem::directory_iterator(store_)) {
      const std::string path = entry.path().string();
      if (!absl::StrContains(entry.path().filename().string(), GetParam().files) ||
          entry.file_size() == 0) {
        continue;
      }
      std::ifstream in(path, std::ios::binary);
      std::ostringstream read;
      read << in.rdbuf();
      std::string bytes = read.str();
      if (GetParam().cut) bytes.resize(bytes.size() / 2);
      for (size_t at = bytes.size() / 2; !GetParam().cut && at < bytes.size();
           at += kBytesPerFlip) {
        bytes[at] ^= 1;
      }
      std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
      ++damaged;
    }
    ASSERT_GT(damaged, 0);
  }
};

TEST_P(CanaryOnDamage,
       files_are_damaged_while_the_backend_is_away__then_it_is_found_with_its_place) {
  ASSERT_TRUE(Start({}));
  ExpectGoodRounds(kMostRounds);
  process_->Kill();
  DamageFiles();
  EXPECT_EQ(Round().code(), absl::StatusCode::kUnavailable);
  if (!Start({})) {
    // It refuses to serve, so that the canary goes on saying that it is away; why, it says itself.
    EXPECT_TRUE(absl::StrContains(process_->failure(), "DATA_LOSS")) << process_->failure();
    EXPECT_TRUE(absl::StrContains(process_->failure(), GetParam().files) ||
                absl::StrContains(process_->failure(), "log number"))
        << process_->failure();
    EXPECT_EQ(Round().code(), absl::StatusCode::kUnavailable);
    EXPECT_TRUE(Counted("failed_rounds_total{status=\"UNAVAILABLE\"} 2"));
    return;
  }
  const absl::Status status = Round();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(absl::StrContains(status.message(), "recordings/")) << status;
  EXPECT_TRUE(Counted("failed_rounds_total{status=\"DATA_LOSS\"} 1"));
}

INSTANTIATE_TEST_SUITE_P(Files, CanaryOnDamage,
                         ::testing::Values(Damage{"bits_of_blobs", ".blob", false},
                                           Damage{"bits_of_tables", ".sst", false},
                                           Damage{"bits_of_logs", ".log", false},
                                           Damage{"bits_of_the_manifest", "MANIFEST", false},
                                           Damage{"cut_blobs", ".blob", true},
                                           Damage{"cut_tables", ".sst", true},
                                           Damage{"cut_logs", ".log", true},
                                           Damage{"cut_manifest", "MANIFEST", true}),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace flightrec::cli
