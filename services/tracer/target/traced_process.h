// A program that runs with hooks: started, hooked before its first instruction,
// left to itself, waited for.
//
// Launch may be called in a process with many threads. All methods are
// thread-safe, except that lane() is shared with the program (lane_reader.h).
// Plans no hooks and drains no lane. The program is an ordinary child of this
// process: its output, signals and exit code are its own.
#ifndef SERVICES_TRACER_TARGET_TRACED_PROCESS_H_
#define SERVICES_TRACER_TARGET_TRACED_PROCESS_H_

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "services/tracer/lane/lane_file.h"
#include "services/tracer/symbols/module.h"
#include "services/tracer/target/hook_installer.h"

namespace flightrec::target {

// A file that the program has mapped when it reaches its entry point.
struct MappedModule {
  std::string path;
  uint64_t base = 0;  // address of its first byte
  bool is_main_executable = false;
};

struct ModuleHooks {
  std::shared_ptr<const symbols::Module> module;
  uint64_t base = 0;  // as in MappedModule
  std::vector<Hook> hooks;
};

// Chooses what to hook, while the program stands at its entry point: the main executable comes
// first. Called once, from another thread, before Launch returns. Its error is Launch's.
using PlanHooks =
    std::function<absl::StatusOr<std::vector<ModuleHooks>>(const std::vector<MappedModule>&)>;

struct LaunchOptions {
  std::string program;                   // from ResolveProgram
  std::vector<std::string> argv;         // argv[0] included
  std::vector<std::string> env;          // "NAME=value"
  std::string cwd;                       // empty: the caller's
  std::array<int, 3> stdio = {0, 1, 2};  // not closed by Launch
  std::vector<int> inherited;            // as in SpawnRequest
  // `program`, read by symbols::ReadModule.
  std::shared_ptr<const symbols::Module> module;
  PlanHooks plan;
  std::string lane_directory;  // an existing folder, on tmpfs
  lane::LaneLimits limits;
};

struct Outcome {
  bool signaled = false;
  int exit_code = 0;  // if not signaled
  int signal = 0;     // if signaled
  bool dumped_core = false;
};

class TracedProcess {
 public:
  // Returns once the program runs with its hooks, or ended before its entry
  // point (for example without a library it needs): then there are no hooks.
  // On an error no program is left behind.
  static absl::StatusOr<std::unique_ptr<TracedProcess>> Launch(LaunchOptions options);

  // Kills the program if it still runs, waits for it and removes its lane file.
  ~TracedProcess();
  TracedProcess(const TracedProcess&) = delete;
  TracedProcess& operator=(const TracedProcess&) = delete;

  // Blocks until the program has ended.
  Outcome Wait();
  // nullopt if it still runs after `timeout`.
  absl::optional<Outcome> WaitFor(absl::Duration timeout);

  // FAILED_PRECONDITION if it has ended.
  absl::Status Signal(int signal);

  pid_t pid() const { return static_cast<pid_t>(identity_.pid); }
  const lane::ProcessIdentity& identity() const { return identity_; }
  const lane::LaneFile& lane() const { return *lane_; }
  // Function indexes whose hook could not be set.
  const std::vector<HookFailure>& failures() const { return failures_; }

 private:
  explicit TracedProcess(LaunchOptions options) : options_(std::move(options)) {}

  // On the thread that traces the program.
  void Run();
  absl::Status Start();
  // At the program's entry point.
  absl::Status Install(inject::RemoteProcess& process, uint64_t loader);
  absl::Status CreateLane(size_t functions);
  void Finish(int wait_status);

  LaunchOptions options_;
  lane::ProcessIdentity identity_;
  std::unique_ptr<lane::LaneFile> lane_;
  std::vector<HookFailure> failures_;
  std::thread tracer_;

  absl::Mutex mutex_;
  absl::optional<absl::Status> started_ ABSL_GUARDED_BY(mutex_);
  absl::optional<Outcome> outcome_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_TRACED_PROCESS_H_
