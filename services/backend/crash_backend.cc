// A backend on a machine with faults, for tests.
//
//   crash_backend STORE LISTEN FAULT STEP COUNT
//
// FAULT:
//   none
//   kill        it is killed, as by kill -9, at STEP (faulty_file_system.h) the COUNTth time
//   power_cut   the power goes there: what was not synced is lost, and torn
//   lost_syncs  the same with a disk that says that it has synced, and has not
//   full        from one SIGUSR1 to the next the disk is full
//   few         it keeps COUNT recordings
//   clock       from one SIGUSR1 to the next the wall clock is a year ahead, while retention by age
//               is on
// Prints where it listens, or `failed: ` and why not; then `toggled` after each SIGUSR1.
#include <rocksdb/env.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <iostream>
#include <memory>
#include <random>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/log/logger.h"
#include "common/metrics/registry.h"
#include "services/backend/backend_config.h"
#include "services/backend/backend_server.h"
#include "services/backend/store/faulty_file_system.h"
#include "services/backend/store/test_workload.h"

namespace flightrec::backend {
namespace {

constexpr absl::Duration kClockStep = absl::Hours(24 * 365);
constexpr absl::Duration kRetentionAge = absl::Hours(10);
constexpr absl::Duration kRetentionInterval = absl::Milliseconds(100);

// The machine's clock, set ahead while it is told so.
class SettableClock : public clock::Clock {
 public:
  explicit SettableClock(const std::atomic<bool>& ahead) : ahead_(ahead) {}
  absl::Time Now() override {
    return clock::RealClock().Now() + (ahead_ ? kClockStep : absl::ZeroDuration());
  }
  absl::Duration Monotonic() override { return clock::RealClock().Monotonic(); }
  bool AwaitWithTimeout(absl::Mutex& mutex, const absl::Condition& condition,
                        absl::Duration timeout) override {
    return clock::RealClock().AwaitWithTimeout(mutex, condition, timeout);
  }

 private:
  const std::atomic<bool>& ahead_;
};

class Machine {
 public:
  Machine(std::string fault, std::string step, int count)
      : fault_(std::move(fault)),
        step_(std::move(step)),
        left_(count),
        clock_(clock_is_ahead_),
        system_(std::make_shared<FaultyFileSystem>(
            [this](absl::string_view reached) { return Reached(reached); })),
        env_(rocksdb::NewCompositeEnv(system_)) {
    if (fault_ == "lost_syncs") system_->IgnoreSyncs();
  }

  rocksdb::Env* env() const { return env_.get(); }
  clock::Clock& clock() { return clock_; }
  // The process is about to be killed.
  bool is_ending() const { return is_ending_; }
  void Toggle() {
    if (fault_ == "full") disk_is_full_ = !disk_is_full_;
    if (fault_ == "clock") clock_is_ahead_ = !clock_is_ahead_;
  }

 private:
  rocksdb::IOStatus Reached(absl::string_view reached) {
    if (reached == step_ && --left_ == 0) End();
    const bool grows =
        absl::EndsWith(reached, "append.before") || absl::EndsWith(reached, "create.before");
    if (disk_is_full_ && grows) return rocksdb::IOStatus::NoSpace("no space left");
    return rocksdb::IOStatus::OK();
  }

  void End() {
    is_ending_ = true;
    if (fault_ != "kill") {
      std::mt19937 random(1);
      system_->CutPower();
      system_->LoseUnsynced(FaultyFileSystem::Tail::kTorn, random);
    }
    kill(getpid(), SIGKILL);
  }

  const std::string fault_;
  const std::string step_;
  std::atomic<int> left_;
  std::atomic<bool> is_ending_ = false;
  std::atomic<bool> disk_is_full_ = false;
  std::atomic<bool> clock_is_ahead_ = false;
  SettableClock clock_;
  const std::shared_ptr<FaultyFileSystem> system_;
  const std::unique_ptr<rocksdb::Env> env_;
};

int Run(char** argv) {
  // Before there are threads: the main one takes it.
  sigset_t toggle;
  sigemptyset(&toggle);
  sigaddset(&toggle, SIGUSR1);
  sigprocmask(SIG_BLOCK, &toggle, nullptr);

  Machine machine(argv[3], argv[4], std::atoi(argv[5]));
  DatabaseOptions options = SmallFiles();
  options.env = machine.env();
  BackendConfig config;
  config.store_directory = argv[1];
  config.server.listen = argv[2];
  if (std::string(argv[3]) == "few") config.ingest.max_recordings = std::atoi(argv[5]);
  if (std::string(argv[3]) == "clock") {
    config.retention.age = kRetentionAge;
    config.retention.interval = kRetentionInterval;
  }
  log::Logger logger("backend", log::Level::kError);
  metrics::Registry registry;
  const auto server =
      BackendServer::Start(Finalize(config).value(), &logger, &registry, options, machine.clock());
  // What the power cut makes fail is not its end.
  while (machine.is_ending()) pause();
  if (!server.ok()) {
    std::cout << "failed: " << server.status() << std::endl;
    return 1;
  }
  std::cout << (*server)->address() << std::endl;
  int signal_number;
  while (sigwait(&toggle, &signal_number) == 0) {
    machine.Toggle();
    std::cout << "toggled" << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace flightrec::backend

int main(int argc, char** argv) { return argc == 6 ? flightrec::backend::Run(argv) : 2; }
