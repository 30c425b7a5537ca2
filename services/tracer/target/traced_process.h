// A program that runs with hooks: started or found running, hooked, stopped for a moment when its
// hooks change, waited for, let go.
//
// Launch and Attach may be called in a process with many threads. All methods are thread-safe,
// except that lane() is shared with the program (lane_reader.h). Plans no hooks and drains no lane.
// A launched program is an ordinary child of this process: its output, signals and exit code are
// its own.
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
#include "services/tracer/lane/lane_file.h"
#include "services/tracer/symbols/module.h"
#include "services/tracer/target/installation.h"

namespace flightrec::target {

struct LaunchOptions : InstallOptions {
  std::string program;                   // from ResolveProgram
  std::vector<std::string> argv;         // argv[0] included
  std::vector<std::string> env;          // "NAME=value"
  std::string cwd;                       // empty: the caller's
  std::array<int, 3> stdio = {0, 1, 2};  // not closed by Launch
  std::vector<int> inherited;            // as in SpawnRequest
  // `program`, read by symbols::ReadModule.
  std::shared_ptr<const symbols::Module> module;
};

struct AttachOptions : InstallOptions {
  pid_t pid = 0;
};

struct Outcome {
  // Only its parent knows; nothing else is set then, except replaced_by_exec.
  bool unknown = false;
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

  // Returns once the program's threads make their calls through hooks. NOT_FOUND: there is no such
  // process. FAILED_PRECONDITION, PERMISSION_DENIED, RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED: why it
  // cannot be hooked; it runs on as it was.
  static absl::StatusOr<std::unique_ptr<TracedProcess>> Attach(AttachOptions options);

  // Goes on where a tracer that was killed has ended: as Attach, of the hooks that are there. Its
  // lane and what is not in it any more are the caller's to account for. Errors of
  // Installation::TakeOver.
  static absl::StatusOr<std::unique_ptr<TracedProcess>> TakeOver(const JournalContent& journal,
                                                                 InstallOptions options);
  // Of one that has ended since, or has no hooks any more: its lane is left, how it ended is not
  // known.
  static absl::StatusOr<std::unique_ptr<TracedProcess>> OfEnded(
      const lane::ProcessIdentity& identity, InstallOptions options);

  // Kills a launched program if it still runs, and waits for it; detaches from an attached one.
  // Removes its lane file. A detached program runs on.
  ~TracedProcess();
  TracedProcess(const TracedProcess&) = delete;
  TracedProcess& operator=(const TracedProcess&) = delete;

  // Takes everything out of the program, which runs on as if it had never been traced; in its lane
  // is every call that has ended. Library changes are not watched any more. With Removal::left the
  // hooks are gone, and it may be called again; else nothing but lane() may be used afterwards. OK
  // if the program has ended.
  absl::StatusOr<Removal> Detach();

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
  // agent/libraries.h says. After an attach also once at first, for those loaded meanwhile. Its
  // argument: whether an unwinder among them crosses hooked functions. FAILED_PRECONDITION: the
  // program has no loader that tells. Once.
  absl::Status WatchLibraries(std::function<void(const absl::Status&)> changed);
  // No call of `changed` runs or follows when it returns; the program does not wait any more. Not
  // from `changed`.
  void StopLibraryWatch();
  // The program may load its unwinder later: then its libraries have to be watched, as at any
  // instruction of a stub a signal handler may unwind.
  bool may_load_unwinder() const { return installation_->may_load_unwinder(); }
  // Changes of libraries for which the program did not get an answer in time.
  uint32_t missed_library_changes() const;

  pid_t pid() const { return static_cast<pid_t>(installation_->identity().pid); }
  const lane::ProcessIdentity& identity() const { return installation_->identity(); }
  const lane::LaneFile& lane() const { return installation_->lane(); }
  // Function indexes whose hook could not be set.
  const std::vector<HookFailure>& failures() const { return installation_->failures(); }
  // False, if taken over: there was nothing any more, or the program has ended.
  bool hooked() const { return installation_->hooked(); }
  // ChangeHooks and WatchLibraries are FAILED_PRECONDITION then.
  bool taken_over() const { return installation_->taken_over(); }
  const CallFilter& filter() const { return installation_->filter(); }
  // The longest time that a program stood still while it was attached to.
  absl::Duration attach_stopped() const { return installation_->stopped(); }
  // Functions that start processes and could not be made to count them.
  const std::vector<std::string>& uncounted_starts() const {
    return installation_->uncounted_starts();
  }

 private:
  // How the program came under its tracer, on the thread that traces it from then on.
  using Begin = std::function<absl::Status(TracedProcess&)>;

  explicit TracedProcess(bool launched) : launched_(launched) {}

  // What the thread that traces the program is asked to do.
  struct Job {
    std::function<void()> run;
    bool started = false;  // then it is waited for
    bool done = false;
  };

  // On the thread that traces the program.
  void Run(const Begin& begin);
  // Or until it is let go.
  void ServeUntilEnd();
  void RunJobs() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Start(LaunchOptions options);
  absl::Status Join(AttachOptions options);
  absl::Status Collect(const lane::ProcessIdentity& identity, InstallOptions options);
  void LetGo() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ServeLibraries();
  lane::FileHeader& header() const { return lane().header(); }
  void Finish(absl::optional<int> wait_status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsOver() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return outcome_.has_value() || let_go_;
  }

  static absl::StatusOr<std::unique_ptr<TracedProcess>> Begun(bool launched, const Begin& begin);

  // Runs `job` there and waits for it. False: the program has ended or was let go.
  bool OnTracer(std::function<void()> job);

  const bool launched_;                         // else attached to
  std::unique_ptr<Installation> installation_;  // of the tracing thread, as far as it says
  absl::optional<int> exit_status_;             // of the tracing thread; a wait status
  std::thread tracer_;
  int wake_ = -1;     // eventfd: there are jobs
  int process_ = -1;  // pidfd
  std::function<void(const absl::Status&)> libraries_changed_;
  std::thread library_watch_;

  absl::Mutex mutex_;
  absl::optional<absl::Status> started_ ABSL_GUARDED_BY(mutex_);
  absl::optional<Outcome> outcome_ ABSL_GUARDED_BY(mutex_);
  std::deque<Job*> jobs_ ABSL_GUARDED_BY(mutex_);
  bool let_go_ ABSL_GUARDED_BY(mutex_) = false;
  bool stop_library_watch_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_TRACED_PROCESS_H_
