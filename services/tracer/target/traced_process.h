// A program that runs with hooks: started, hooked before its first instruction,
// left to itself, stopped for a moment when its hooks change, waited for.
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
#include <deque>
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
#include "services/tracer/inject/remote_process.h"
#include "services/tracer/lane/clock_publisher.h"
#include "services/tracer/lane/lane_file.h"
#include "services/tracer/symbols/module.h"
#include "services/tracer/target/call_filter.h"
#include "services/tracer/target/hook_installer.h"
#include "services/tracer/target/proc_files.h"
#include "services/tracer/target/process_memory.h"
#include "services/tracer/target/thread_control.h"
#include "services/tracer/target/unwinders.h"

namespace flightrec::target {

// A file that the program has mapped when it reaches its entry point.
struct MappedModule {
  std::string path;
  uint64_t base = 0;  // address of its first byte
  bool is_main_executable = false;
  uint64_t end = 0;  // of its last mapping
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
  // Threads that load libraries wait until WatchLibraries has told what was loaded.
  bool watch_libraries = false;
  CallFilter filter;
  // Where coarse times come from; outlives the process. Null: times are exact.
  lane::ClockPublisher* coarse_clock = nullptr;
};

// One stop of the program changes at most this many functions.
inline constexpr size_t kMaxChangesPerStop = 10000;

struct HookChange {
  // With the function indexes the caller wants: those in use, or the next ones, below
  // lane().layout().function_count.
  std::vector<ModuleHooks> add;
  std::vector<uint32_t> remove;  // function indexes
};

struct HookChangeResult {
  // Of `add`. Their functions are not hooked.
  std::vector<HookFailure> failures;
  size_t live = 0;  // hooks in the program now
  // The longest time that the program stood still for it.
  absl::Duration stopped;
};

struct Outcome {
  bool signaled = false;
  int exit_code = 0;  // if not signaled
  int signal = 0;     // if signaled
  bool dumped_core = false;
  // It was not the program that was launched that ended so, but one that it ran in its place, or
  // ended while it tried to.
  bool replaced_by_exec = false;
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

  // The program runs on unrecorded: its coarse clock stands still.
  void StopClock();

  // FAILED_PRECONDITION if it has ended.
  absl::Status Signal(int signal);

  // Hooks and unhooks functions while the program runs. When it returns, all threads make the calls
  // of hooked functions through their hooks. FAILED_PRECONDITION: it has ended or somebody else
  // traces it, RESOURCE_EXHAUSTED: no room for stubs, DEADLINE_EXCEEDED: a thread does not stop;
  // then a part of the change may be done: `live` of the next result counts.
  absl::StatusOr<HookChangeResult> ChangeHooks(const HookChange& change);
  // What is mapped now, the main executable first.
  absl::StatusOr<std::vector<MappedModule>> Modules() const;
  // The code of [low, high) was unmapped: nothing is restored there any more. Returns the hooks
  // that are left.
  size_t ForgetCode(uint64_t low, uint64_t high);

  // Calls `changed` on a thread of its own whenever the program has loaded or unloaded libraries,
  // before code of new ones runs; the program's thread waits for it, at most as long as
  // agent/libraries.h says. Its argument: whether an unwinder among them crosses hooked functions.
  // FAILED_PRECONDITION: the program has no loader that tells. Once.
  absl::Status WatchLibraries(std::function<void(const absl::Status&)> changed);
  // No call of `changed` runs or follows when it returns; the program does not wait any more. Not
  // from `changed`.
  void StopLibraryWatch();
  // The program may load its unwinder later: then its libraries have to be watched, as at any
  // instruction of a stub a signal handler may unwind.
  bool may_load_unwinder() const { return may_load_unwinder_; }
  // Changes of libraries for which the program did not get an answer in time.
  uint32_t missed_library_changes() const;

  pid_t pid() const { return static_cast<pid_t>(identity_.pid); }
  const lane::ProcessIdentity& identity() const { return identity_; }
  const lane::LaneFile& lane() const { return *lane_; }
  // Function indexes whose hook could not be set.
  const std::vector<HookFailure>& failures() const { return failures_; }
  // Functions that start processes and could not be made to count them.
  const std::vector<std::string>& uncounted_starts() const { return uncounted_starts_; }

 private:
  explicit TracedProcess(LaunchOptions options) : options_(std::move(options)) {}

  // What the thread that traces the program is asked to do.
  struct Job {
    std::function<void()> run;
    bool done = false;
  };

  // On the thread that traces the program.
  void Run();
  void ServeUntilEnd();
  void RunJobs() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<HookChangeResult> Change(const HookChange& change);
  absl::Status Apply(HookChangeResult& result);
  absl::Status CheckProgram() const;
  absl::Status FollowUnwinders();
  absl::StatusOr<uint64_t> CallInside(const char* what, int64_t number,
                                      const std::vector<uint64_t>& arguments);
  absl::Status Start();
  // At the program's entry point.
  absl::Status Install(const EntryPoints& entries);
  void InstallLoaderEvents(const EntryPoints& entries);
  void ServeLibraries();
  absl::Status CreateLane(size_t functions);
  absl::Status AddNotices(const std::vector<ModuleHooks>& plan,
                          const std::vector<MappedModule>& mapped);
  void Finish(int wait_status);

  // Runs `job` there and waits for it. False: the program has ended.
  bool OnTracer(std::function<void()> job);

  LaunchOptions options_;
  lane::ProcessIdentity identity_;
  std::unique_ptr<lane::LaneFile> lane_;
  absl::optional<lane::ClockPublisher::Line> clock_line_;  // in lane_, which outlives it
  std::vector<HookFailure> failures_;
  std::vector<std::string> uncounted_starts_;
  std::thread tracer_;
  int wake_ = -1;               // eventfd: there are jobs
  absl::Status loader_events_;  // why changes of libraries are not told
  std::function<void(const absl::Status&)> libraries_changed_;
  bool may_load_unwinder_ = false;
  std::thread library_watch_;

  // Of the tracing thread.
  std::unique_ptr<inject::RemoteProcess> process_;
  std::unique_ptr<ProcessMemory> memory_;
  std::unique_ptr<HookInstaller> installer_;
  std::unique_ptr<ThreadControl> threads_;
  std::unique_ptr<Unwinders> unwinders_;

  absl::Mutex mutex_;
  absl::optional<absl::Status> started_ ABSL_GUARDED_BY(mutex_);
  absl::optional<Outcome> outcome_ ABSL_GUARDED_BY(mutex_);
  std::deque<Job*> jobs_ ABSL_GUARDED_BY(mutex_);
  bool stop_library_watch_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_TRACED_PROCESS_H_
