// What the tracer has put into one process: lanes, agent, hooks. Puts them in before the program's
// first instruction or while it runs, changes the hooks later, and takes everything out again.
//
// For the thread that traces the process; lane() and what the constructor was given may be read by
// others. Neither starts nor ends the process, and drains no lane.
#ifndef SERVICES_TRACER_TARGET_INSTALLATION_H_
#define SERVICES_TRACER_TARGET_INSTALLATION_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "services/tracer/inject/remote_process.h"
#include "services/tracer/lane/clock_publisher.h"
#include "services/tracer/lane/lane_file.h"
#include "services/tracer/symbols/module.h"
#include "services/tracer/target/call_filter.h"
#include "services/tracer/target/frame_release.h"
#include "services/tracer/target/hook_installer.h"
#include "services/tracer/target/hook_journal.h"
#include "services/tracer/target/mapped_modules.h"
#include "services/tracer/target/proc_files.h"
#include "services/tracer/target/process_memory.h"
#include "services/tracer/target/thread_control.h"
#include "services/tracer/target/unwinders.h"

namespace flightrec::target {

struct ModuleHooks {
  std::shared_ptr<const symbols::Module> module;
  uint64_t base = 0;  // as in MappedModule
  std::vector<Hook> hooks;
};

// Chooses what to hook of what is mapped: the main executable, which is also given read, comes
// first. Called once, on the thread that traces the process. Its error ends the installation.
using PlanHooks = std::function<absl::StatusOr<std::vector<ModuleHooks>>(
    const std::vector<MappedModule>&, std::shared_ptr<const symbols::Module>)>;

struct InstallOptions {
  PlanHooks plan;
  std::string lane_directory;  // an existing folder, on tmpfs
  lane::LaneLimits limits;
  // Threads that load libraries wait until TracedProcess::WatchLibraries has told what was loaded.
  bool watch_libraries = false;
  CallFilter filter;
  // Where coarse times come from; outlives the process. Null: times are exact.
  lane::ClockPublisher* coarse_clock = nullptr;
};

// One stop of the program changes at most this many functions.
inline constexpr size_t kMaxChangesPerStop = 20000;

// Calls of hooked functions that are open when hooks are taken out have so long to end themselves.
inline constexpr absl::Duration kNaturalEnd = absl::Milliseconds(100);
// And then threads so long to leave code of ours.
inline constexpr absl::Duration kRemovalTimeout = absl::Seconds(3);

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
  // Notices and lookups of unwinders that could not be hooked.
  size_t unanswered = 0;
  // The longest time that the program stood still for it.
  absl::Duration stopped;
};

struct Removal {
  // Why memory of the tracer is still there, with the program's code as it was; empty: nothing is.
  std::string left;
  // The longest time that the program stood still for it.
  absl::Duration stopped;
};

class Installation {
 public:
  // `program` is its main executable's path as /proc/PID/maps has it.
  static absl::StatusOr<std::unique_ptr<Installation>> Create(pid_t pid, std::string program,
                                                              ThreadControl::Relation relation,
                                                              InstallOptions options);

  // Of what a tracer that was killed has left in a process that still runs; its lane file and
  // journal are in `options.lane_directory`. A lane file that is missing does not keep it from
  // being removed. `options.plan` and `limits` mean nothing. UNIMPLEMENTED: of an agent that this
  // tracer does not know; the program's code is what it was then.
  static absl::StatusOr<std::unique_ptr<Installation>> TakeOver(const JournalContent& journal,
                                                                InstallOptions options);
  // Of a process that has ended; only lane() is there. Errors of LaneFile::Open.
  static absl::StatusOr<std::unique_ptr<Installation>> OfEnded(lane::ProcessIdentity identity,
                                                               InstallOptions options);

  // Up to the entry point of a program that the calling thread has started. A wait status if it
  // ended before; then there is a lane without functions.
  absl::StatusOr<absl::optional<int>> RunToEntry();
  // At the entry point; the program runs when it returns.
  absl::Status InstallAtEntry(std::shared_ptr<const symbols::Module> module);
  // Of a running program. An error leaves it as it was.
  absl::Status InstallWhileRunning();

  // As TracedProcess has them.
  absl::StatusOr<HookChangeResult> Change(const HookChange& change);
  absl::StatusOr<std::vector<MappedModule>> Modules() const;
  size_t ForgetCode(uint64_t low, uint64_t high);
  // Unwinders that were loaded since the last time cross hooked functions.
  absl::Status FollowUnwinders();
  bool may_load_unwinder() const { return may_load_unwinder_; }

  // The program's code is what it was, and as soon as no thread can come back to it any more,
  // memory and gs bases are too. May be called again when something was left.
  absl::StatusOr<Removal> Remove();

  // False: nothing of a tracer is in it any more.
  bool hooked() const { return memory_ != nullptr; }
  // Its hooks are those of a tracer that was killed; they can be taken out, and not changed.
  bool taken_over() const { return taken_over_; }

  // The process has ended, or has nothing of ours any more.
  void EndJournal();

  void StopClock() { clock_line_.reset(); }
  // Threads that did not stop in time are let go. False: some are left, call it again soon.
  bool Settle() { return threads_->Settle(); }
  // The last call on the thread that traces the process: no thread of it is traced any more.
  void EndTracing() { threads_ = nullptr; }

  const lane::ProcessIdentity& identity() const { return identity_; }
  const std::string& program() const { return program_; }
  const CallFilter& filter() const { return options_.filter; }
  const lane::LaneFile& lane() const { return *lane_; }
  bool has_lane() const { return lane_ != nullptr; }
  const std::vector<HookFailure>& failures() const { return failures_; }
  // The longest time that a running program stood still while it was hooked.
  absl::Duration stopped() const { return stopped_; }
  const std::vector<std::string>& uncounted_starts() const { return uncounted_starts_; }
  // Why changes of libraries are not told.
  const absl::Status& loader_events() const { return loader_events_; }

 private:
  Installation(pid_t pid, std::string program, ThreadControl::Relation relation,
               InstallOptions options)
      : options_(std::move(options)),
        program_(std::move(program)),
        relation_(relation),
        threads_(std::make_unique<ThreadControl>(pid, relation)) {}

  pid_t pid() const { return static_cast<pid_t>(identity_.pid); }
  bool foreign() const { return relation_ == ThreadControl::Relation::kForeign; }
  std::string PathWith(const char* suffix) const;
  absl::Status CreateLane(size_t functions);
  absl::Status Adopt(const JournalContent& journal);
  // Of a tracer that was killed: what is in the process, and how to get at it.
  absl::Status AdoptMemory(const JournalContent& journal);
  // Threads of the program that wait until a library is hooked go on.
  void EndLibraryWatch();
  absl::Status StartJournal();
  // Everything but the program's code and its threads.
  absl::Status Prepare(std::shared_ptr<const symbols::Module> module);
  absl::Status AddNotices(const symbols::Module& program, const std::vector<ModuleHooks>& plan,
                          const std::vector<MappedModule>& mapped);
  void InstallLoaderEvents(const EntryPoints& entries);
  void FindOwnUnwinder(const symbols::Module& program, uint64_t base);
  absl::Status ApplyAll(HookChangeResult& result);
  absl::Status Apply(HookChangeResult& result, const std::function<absl::Status()>& prepare);
  // In the stopped program.
  absl::Status EnterBlocks();
  // In the stopped program.
  absl::StatusOr<Removal> TakeOut();
  absl::Status RestoreLookups();
  absl::StatusOr<std::string> Release(OpenCalls open_calls, Removal& removal);
  absl::Status CheckProgram() const;
  // Whether the kernel lets it be changed, as far as that can be seen.
  absl::Status CheckCode(const std::vector<ModuleHooks>& plan) const;
  absl::Status FindSystemCall();
  CallSite SystemCallSite() const;
  // Whether seccomp filters let hooks be made.
  absl::Status AllowedByFilters();
  absl::StatusOr<uint64_t> CallInside(const char* what, int64_t number,
                                      const std::vector<uint64_t>& arguments);

  InstallOptions options_;
  const std::string program_;
  const ThreadControl::Relation relation_;
  lane::ProcessIdentity identity_;
  std::unique_ptr<lane::LaneFile> lane_;
  absl::optional<lane::ClockPublisher::Line> clock_line_;  // in lane_, which outlives it
  std::vector<HookFailure> failures_;
  absl::Duration stopped_;
  std::vector<std::string> uncounted_starts_;
  absl::Status loader_events_;
  uint64_t stack_ = 0;    // where the program's first stack began; 0: not known
  CallSite system_call_;  // outside the agent, once it is looked for
  bool entered_ = false;  // threads of a running program have blocks
  std::unique_ptr<ThreadControl> threads_;
  std::unique_ptr<inject::RemoteProcess> process_;
  std::unique_ptr<HookJournal> journal_;
  std::unique_ptr<ProcessMemory> memory_;
  std::unique_ptr<HookInstaller> installer_;
  std::unique_ptr<Unwinders> unwinders_;
  std::vector<RegionSpace> own_unwinder_;  // functions of the program itself
  bool may_load_unwinder_ = false;
  bool taken_over_ = false;
};

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_INSTALLATION_H_
