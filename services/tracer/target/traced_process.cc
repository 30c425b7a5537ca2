#include "services/tracer/target/traced_process.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/tracer/agent/agent_image.h"
#include "services/tracer/inject/memory_map.h"
#include "services/tracer/inject/spawn.h"
#include "services/tracer/symbols/module_reader.h"
#include "services/tracer/target/live_patch.h"
#include "services/tracer/target/load_bias.h"
#include "services/tracer/target/loader_events.h"
#include "services/tracer/target/proc_files.h"
#include "services/tracer/target/process_starts.h"

namespace flightrec::target {
namespace {

// While threads that did not stop in time are still to be let go.
constexpr int kSettleMilliseconds = 1;
constexpr int kNiceness = -10;
constexpr int kEndCheckMilliseconds = 20;
// Much less than what the agent waits for, see agent/libraries.h.
constexpr int kBeatMilliseconds = 100;
// How soon a stop of the watching thread is seen.
constexpr int64_t kWatchNanoseconds = 100'000'000;
// Threads that register without a page fault.
constexpr uint32_t kPreparedSlots = 64;
constexpr unsigned long kHasFsgsbase = 1u << 1;  // in AT_HWCAP2

absl::Status CheckOptions(const LaunchOptions& options) {
  if ((getauxval(AT_HWCAP2) & kHasFsgsbase) == 0) {
    return absl::FailedPreconditionError(
        "this kernel does not let programs use the gs base (FSGSBASE); Linux "
        "5.9 or newer is needed");
  }
  if (options.argv.empty() || options.module == nullptr || options.plan == nullptr) {
    return absl::InvalidArgumentError("a launch needs argv, a module and a plan");
  }
  return absl::OkStatus();
}

absl::StatusOr<lane::ProcessIdentity> Identify(pid_t pid) {
  absl::StatusOr<std::string> boot_id = ReadBootId();
  if (!boot_id.ok()) return boot_id.status();
  const absl::StatusOr<uint64_t> start = ReadStartTicks(absl::StrCat("/proc/", pid, "/stat"));
  if (!start.ok()) return start.status();
  return lane::ProcessIdentity{static_cast<uint32_t>(pid), *start, *std::move(boot_id)};
}

// The same file may be mapped as data too, below its code or above it.
void AddMapping(const inject::Mapping& mapping, bool is_main, std::set<std::string>& with_code,
                std::vector<MappedModule>& modules) {
  const auto known = std::find_if(modules.begin(), modules.end(), [&](const MappedModule& one) {
    return one.path == mapping.path;
  });
  const bool has_code = with_code.count(mapping.path) != 0;
  if (mapping.executable) with_code.insert(mapping.path);
  if (known == modules.end()) {
    if (mapping.file_offset != 0) return;
    modules.insert(is_main ? modules.begin() : modules.end(),
                   {mapping.path, mapping.low, is_main, mapping.high});
    return;
  }
  // Segments of a small module may share the first page of the file.
  const bool continues = known->end == mapping.low && known->end - known->base <= lane::kPageBytes;
  if (mapping.file_offset == 0 && !has_code && !continues) known->base = mapping.low;
  if (mapping.file_offset != 0 || !has_code || known->end == mapping.low) known->end = mapping.high;
}

// Files with code, each once, the main executable first.
absl::StatusOr<std::vector<MappedModule>> ListModules(pid_t pid, const std::string& program) {
  const absl::StatusOr<inject::MemoryMap> map = inject::MemoryMap::Read(pid);
  if (!map.ok()) return map.status();
  // The kernel maps the program itself by its real path.
  std::error_code error;
  const std::string main_path = std::filesystem::canonical(program, error).string();
  std::vector<MappedModule> modules;
  std::set<std::string> with_code;
  for (const inject::Mapping& mapping : map->mappings()) {
    if (mapping.path.empty() || mapping.path[0] != '/') continue;
    AddMapping(mapping, mapping.path == main_path, with_code, modules);
  }
  modules.erase(
      std::remove_if(modules.begin(), modules.end(),
                     [&](const MappedModule& one) { return with_code.count(one.path) == 0; }),
      modules.end());
  if (!modules.empty() && modules.front().is_main_executable) return modules;
  return absl::FailedPreconditionError(
      absl::StrCat(program, " is not mapped in its own process; was the file replaced meanwhile?"));
}

// The child of a failed launch must not run on without its hooks.
void KillAndReap(pid_t pid) {
  kill(pid, SIGKILL);
  int status;
  while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR) {
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<TracedProcess>> TracedProcess::Launch(LaunchOptions options) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  std::unique_ptr<TracedProcess> process(new TracedProcess(std::move(options)));
  process->wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (process->wake_ < 0)
    return absl::ResourceExhaustedError(absl::StrCat("cannot make an eventfd: ", strerror(errno)));
  process->tracer_ = std::thread([p = process.get()] { p->Run(); });
  absl::Status status;
  {
    absl::MutexLock lock(&process->mutex_);
    const auto has_started = [p = process.get()]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(p->mutex_) {
      return p->started_.has_value();
    };
    process->mutex_.Await(absl::Condition(&has_started));
    status = *process->started_;
  }
  process->options_.module = nullptr;
  process->options_.plan = nullptr;
  if (!status.ok()) return status;
  return process;
}

TracedProcess::~TracedProcess() {
  StopLibraryWatch();
  // No error to report: it may have ended already.
  Signal(SIGKILL).IgnoreError();
  if (tracer_.joinable()) tracer_.join();
  if (wake_ >= 0) close(wake_);
  if (lane_ != nullptr) lane_->Remove().IgnoreError();
}

void TracedProcess::Run() {
  const absl::Status status = Start();
  bool ended;
  {
    absl::MutexLock lock(&mutex_);
    started_ = status;
    ended = outcome_.has_value();
  }
  if (!status.ok() || ended) return;
  ServeUntilEnd();
  // The threads that still were to be let go have ended with it.
  threads_.reset();
  absl::MutexLock lock(&mutex_);
  int wait_status = 0;
  while (waitpid(pid(), &wait_status, __WALL) < 0 && errno == EINTR) {
  }
  Finish(wait_status);
  // Whoever waits for a job sees that nobody will do it.
  jobs_.clear();
}

void TracedProcess::ServeUntilEnd() {
  // The program stands still while this thread changes its hooks. 0 is this thread. Not permitted
  // to everyone: then it stays an ordinary one.
  static_cast<void>(setpriority(PRIO_PROCESS, 0, kNiceness));
  // The child stays a zombie behind it, so that Signal never hits another process.
  const int process = static_cast<int>(syscall(SYS_pidfd_open, pid(), 0));
  pollfd events[] = {{process, POLLIN, 0}, {wake_, POLLIN, 0}};
  siginfo_t info = {};
  // Without a pidfd (a sandbox may forbid it) the end is asked for.
  const int idle = process >= 0 ? -1 : kEndCheckMilliseconds;
  while (info.si_pid == 0) {
    const bool watch = __atomic_load_n(&lane_->header().library_watch, __ATOMIC_RELAXED) != 0;
    // Relaxed: all that counts is that it changes.
    if (watch) __atomic_fetch_add(&lane_->header().tracer_beat, 1, __ATOMIC_RELAXED);
    const int pause = watch ? kBeatMilliseconds : idle;
    poll(events, 2, threads_->Settle() ? pause : kSettleMilliseconds);
    if ((events[1].revents & POLLIN) != 0) RunJobs();
    waitid(P_PID, identity_.pid, &info, WEXITED | WNOWAIT | WNOHANG);
  }
  if (process >= 0) close(process);
}

void TracedProcess::RunJobs() {
  uint64_t count;
  if (read(wake_, &count, sizeof(count)) < 0 && errno != EAGAIN) return;
  while (true) {
    Job* job = nullptr;
    {
      absl::MutexLock lock(&mutex_);
      if (jobs_.empty()) return;
      job = jobs_.front();
    }
    job->run();
    absl::MutexLock lock(&mutex_);
    jobs_.pop_front();
    job->done = true;
  }
}

bool TracedProcess::OnTracer(std::function<void()> run) {
  Job job = {std::move(run)};
  absl::MutexLock lock(&mutex_);
  if (outcome_.has_value() || !started_.has_value() || !started_->ok()) return false;
  jobs_.push_back(&job);
  const uint64_t one = 1;
  // Fails only if it is signalled already.
  static_cast<void>(write(wake_, &one, sizeof(one)) < 0);
  const auto over = [this, &job]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return job.done || outcome_.has_value();
  };
  mutex_.Await(absl::Condition(&over));
  return job.done;
}

void TracedProcess::Finish(int wait_status) {
  mutex_.AssertHeld();
  Outcome outcome;
  outcome.signaled = WIFSIGNALED(wait_status);
  if (outcome.signaled) {
    outcome.signal = WTERMSIG(wait_status);
    outcome.dumped_core = WCOREDUMP(wait_status);
  } else {
    outcome.exit_code = WEXITSTATUS(wait_status);
  }
  if (lane_ != nullptr) {
    const lane::FileHeader& header = lane_->header();
    outcome.replaced_by_exec = header.execs_begun > header.execs_failed;
  }
  outcome_ = outcome;
}

absl::Status TracedProcess::Start() {
  const absl::StatusOr<pid_t> pid =
      inject::Spawn({options_.program, options_.argv, options_.env, options_.cwd, options_.stdio,
                     options_.inherited});
  if (!pid.ok()) return pid.status();
  const auto fail = [&pid](const absl::Status& status) {
    KillAndReap(*pid);
    return status;
  };
  absl::StatusOr<lane::ProcessIdentity> identity = Identify(*pid);
  if (!identity.ok()) return fail(identity.status());
  identity_ = *std::move(identity);
  const absl::StatusOr<EntryPoints> entries = ReadEntryPoints(*pid);
  if (!entries.ok()) return fail(entries.status());
  auto process = inject::RemoteProcess::Adopt(*pid);
  if (!process.ok()) return fail(process.status());
  process_ = *std::move(process);
  const absl::StatusOr<absl::optional<int>> ended = process_->RunTo(entries->program);
  if (!ended.ok()) return fail(ended.status());
  if (ended->has_value()) {
    absl::Status created = CreateLane(/*functions=*/0);
    if (!created.ok()) return created;
    absl::MutexLock lock(&mutex_);
    Finish(**ended);
    return absl::OkStatus();
  }
  threads_ = std::make_unique<ThreadControl>(*pid);
  process_->SetLiveCalls(
      [this](const char* what, int64_t number, const std::vector<uint64_t>& arguments) {
        return CallInside(what, number, arguments);
      });
  absl::Status status = Install(*entries);
  if (status.ok()) status = process_->Detach();
  return status.ok() ? status : fail(status);
}

absl::Status TracedProcess::CreateLane(size_t functions) {
  uint64_t features = 0;
  if (options_.coarse_clock != nullptr) features |= lane::kCoarseClock;
  if (options_.filter.leaves_out()) features |= lane::kFilters;
  absl::StatusOr<std::unique_ptr<lane::LaneFile>> lane = lane::LaneFile::Create(
      absl::StrCat(options_.lane_directory, "/", identity_.pid, "-", identity_.start_ticks,
                   ".lane"),
      options_.limits, static_cast<uint32_t>(functions), identity_, features);
  if (!lane.ok()) return lane.status();
  lane_ = *std::move(lane);
  if (functions > 0) lane_->Prepare(kPreparedSlots);
  if (options_.coarse_clock != nullptr) {
    clock_line_.emplace(*options_.coarse_clock, lane_->header().clock_ticks);
  }
  return absl::OkStatus();
}

absl::Status TracedProcess::Install(const EntryPoints& entries) {
  const absl::StatusOr<std::vector<pid_t>> threads = ListThreads(pid());
  if (!threads.ok()) return threads.status();
  if (threads->size() != 1) {
    return absl::FailedPreconditionError(
        absl::StrCat(options_.program,
                     " has more than one thread before its entry point; "
                     "a library starts threads when it is loaded"));
  }
  const absl::StatusOr<uint64_t> gs_base = process_->GsBase();
  if (!gs_base.ok()) return gs_base.status();
  if (*gs_base != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(options_.program, " uses the gs base itself"));
  }
  const absl::StatusOr<std::vector<MappedModule>> mapped = Modules();
  if (!mapped.ok()) return mapped.status();
  absl::StatusOr<std::vector<ModuleHooks>> plan = options_.plan(*mapped);
  if (!plan.ok()) return plan.status();
  uint32_t functions = 0;
  for (ModuleHooks& hooks : *plan) {
    for (Hook& hook : hooks.hooks) hook.function_index = functions++;
  }
  absl::Status status = CreateLane(functions);
  if (!status.ok()) return status;
  memory_ = std::make_unique<ProcessMemory>(*process_, *lane_, options_.filter);
  installer_ = std::make_unique<HookInstaller>(*process_, *memory_);
  status = memory_->Prepare();
  for (const ModuleHooks& hooks : *plan) {
    if (!status.ok()) return status;
    status = installer_->AddModule(*hooks.module, LoadBias(*hooks.module, hooks.base), hooks.hooks);
  }
  const symbols::Module& program = *options_.module;
  if (status.ok()) {
    status = installer_->AddUnwinder(program, LoadBias(program, mapped->front().base));
  }
  unwinders_ = std::make_unique<Unwinders>(pid(), entries.loader);
  if (status.ok()) status = unwinders_->Answer(*installer_);
  may_load_unwinder_ = unwinders_->may_come_later();
  if (status.ok()) status = AddNotices(*plan, *mapped);
  if (status.ok()) InstallLoaderEvents(entries);
  if (status.ok()) status = memory_->Activate();
  if (status.ok()) status = installer_->Patch();
  failures_ = installer_->TakeFailures();
  return status;
}

absl::Status TracedProcess::FollowUnwinders() {
  absl::Status status = unwinders_->Answer(*installer_);
  HookChangeResult result;
  const absl::Status applied = installer_->prepared().empty() ? absl::OkStatus() : Apply(result);
  return status.ok() ? applied : status;
}

// In the C library, or in the program itself if it has no other.
absl::Status TracedProcess::AddNotices(const std::vector<ModuleHooks>& plan,
                                       const std::vector<MappedModule>& mapped) {
  const bool is_static = options_.module->interpreter.empty();
  for (const MappedModule& one : mapped) {
    if (!(is_static ? one.is_main_executable : IsCLibrary(one.path))) continue;
    const auto planned = std::find_if(plan.begin(), plan.end(), [&one](const ModuleHooks& hooks) {
      return hooks.base == one.base;
    });
    std::shared_ptr<const symbols::Module> module = is_static               ? options_.module
                                                    : planned != plan.end() ? planned->module
                                                                            : nullptr;
    if (module == nullptr) {
      absl::StatusOr<symbols::Module> read = symbols::ReadModule(one.path);
      if (!read.ok()) return read.status();
      module = std::make_shared<const symbols::Module>(*std::move(read));
    }
    const absl::Status added =
        installer_->AddNotices(*module, LoadBias(*module, one.base), &uncounted_starts_);
    if (!added.ok()) return added;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<MappedModule>> TracedProcess::Modules() const {
  return ListModules(pid(), options_.program);
}

absl::StatusOr<uint64_t> TracedProcess::CallInside(const char* what, int64_t number,
                                                   const std::vector<uint64_t>& arguments) {
  // A filter of the program's own may kill it for a call it does not expect.
  const absl::StatusOr<ThreadStatus> program = ReadThreadStatus(pid(), pid());
  const absl::StatusOr<ThreadStatus> own = ReadThreadStatus(getpid(), getpid());
  if (program.ok() && own.ok() && program->seccomp_filters > own->seccomp_filters) {
    return absl::FailedPreconditionError(absl::StrCat(
        what, " inside process ", pid(),
        " is not tried: the program has a seccomp filter. Name this module when it is launched"));
  }
  absl::Status status = threads_->StopOne();
  if (!status.ok()) return status;
  status = CheckProgram();
  absl::StatusOr<uint64_t> result =
      status.ok()
          ? threads_->SystemCall(what, number, arguments,
                                 memory_->AgentFunction(agent::GetImageHeader().system_call))
          : absl::StatusOr<uint64_t>(status);
  threads_->Resume();
  return result;
}

// The memory that was opened at the launch ends with the program it belongs to.
absl::Status TracedProcess::CheckProgram() const {
  uint8_t byte;
  const uint64_t agent = memory_->AgentFunction(agent::GetImageHeader().system_call);
  if (process_->Read(agent, absl::MakeSpan(&byte, 1)).ok()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("process ", pid(), " runs another program now than ", options_.program,
                   "; its hooks ended with that one"));
}

absl::Status TracedProcess::Apply(HookChangeResult& result) {
  const std::vector<TextChange>& all = installer_->prepared();
  std::vector<size_t> unwritten;
  absl::Status status;
  size_t begin = 0;
  for (; begin < all.size() && status.ok(); begin += kMaxChangesPerStop) {
    const size_t count = std::min(kMaxChangesPerStop, all.size() - begin);
    const absl::StatusOr<PatchReport> patched =
        PatchWhileRunning(*threads_, *process_, absl::MakeConstSpan(all).subspan(begin, count));
    status = patched.status();
    if (!status.ok()) break;
    for (const size_t index : patched->unwritten) unwritten.push_back(begin + index);
    result.stopped = std::max(result.stopped, patched->stopped);
  }
  for (; begin < all.size(); ++begin) unwritten.push_back(begin);
  const size_t unanswered = installer_->Commit(unwritten);
  if (!status.ok() || unanswered == 0) return status;
  return absl::FailedPreconditionError(
      absl::StrCat(unanswered,
                   " functions of an unwinder are not what their file has; signal handlers that "
                   "unwind while a hook begins or ends may fail"));
}

absl::StatusOr<HookChangeResult> TracedProcess::Change(const HookChange& change) {
  HookChangeResult result;
  uint32_t functions = 0;
  for (const ModuleHooks& hooks : change.add) {
    for (const Hook& hook : hooks.hooks) functions = std::max(functions, hook.function_index + 1);
  }
  absl::Status status = CheckProgram();
  if (!status.ok()) return status;
  status = lane_->UseFunctions(functions);
  for (const ModuleHooks& hooks : change.add) {
    if (status.ok()) {
      status =
          installer_->AddModule(*hooks.module, LoadBias(*hooks.module, hooks.base), hooks.hooks);
    }
  }
  installer_->Remove({change.remove.begin(), change.remove.end()});
  // Also what could be prepared before an error.
  const absl::Status applied = Apply(result);
  if (status.ok()) status = applied;
  result.failures = installer_->TakeFailures();
  result.live = installer_->live();
  if (!status.ok()) return status;
  return result;
}

absl::StatusOr<HookChangeResult> TracedProcess::ChangeHooks(const HookChange& change) {
  absl::StatusOr<HookChangeResult> result = absl::FailedPreconditionError(
      absl::StrCat(options_.program, " has ended; its hooks cannot be changed any more"));
  OnTracer([&] { result = Change(change); });
  return result;
}

size_t TracedProcess::ForgetCode(uint64_t low, uint64_t high) {
  size_t live = 0;
  OnTracer([&] {
    installer_->Forget(low, high);
    live = installer_->live();
  });
  return live;
}

// Not being told of libraries is no reason not to record.
void TracedProcess::InstallLoaderEvents(const EntryPoints& entries) {
  loader_events_ = absl::FailedPreconditionError(absl::StrCat(
      options_.program, " has no loader that tells when it loads libraries; is it static?"));
  const absl::optional<LoaderEvents> events = FindLoaderEvents(*process_, entries);
  const absl::StatusOr<std::vector<MappedModule>> modules = Modules();
  if (!events.has_value() || !modules.ok()) return;
  for (const MappedModule& mapped : *modules) {
    if (events->function < mapped.base || events->function >= mapped.end) continue;
    const absl::StatusOr<symbols::Module> loader = symbols::ReadModule(mapped.path);
    loader_events_ = loader.status();
    if (!loader.ok()) return;
    loader_events_ =
        installer_->AddLoaderEvents(*loader, LoadBias(*loader, mapped.base), events->function);
  }
  if (!loader_events_.ok()) return;
  memory_->SetLoaderState(events->state);
  // The program does not run yet.
  lane_->header().library_watch = options_.watch_libraries || may_load_unwinder_ ? 1 : 0;
}

absl::Status TracedProcess::WatchLibraries(std::function<void(const absl::Status&)> changed) {
  if (!loader_events_.ok()) return loader_events_;
  libraries_changed_ = std::move(changed);
  __atomic_store_n(&lane_->header().library_watch, 1, __ATOMIC_RELEASE);
  library_watch_ = std::thread([this] { ServeLibraries(); });
  // The beats begin.
  OnTracer([] {});
  return absl::OkStatus();
}

void TracedProcess::StopLibraryWatch() {
  {
    absl::MutexLock lock(&mutex_);
    stop_library_watch_ = true;
  }
  if (lane_ == nullptr) return;
  lane::FileHeader& header = lane_->header();
  __atomic_store_n(&header.library_watch, 0, __ATOMIC_RELEASE);
  syscall(SYS_futex, &header.library_answer, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  if (library_watch_.joinable()) library_watch_.join();
}

uint32_t TracedProcess::missed_library_changes() const {
  return __atomic_load_n(&lane_->header().library_given_up, __ATOMIC_RELAXED);
}

void TracedProcess::ServeLibraries() {
  lane::FileHeader& header = lane_->header();
  uint32_t done = 0;
  const timespec pause = {0, kWatchNanoseconds};
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (stop_library_watch_) return;
    }
    // Acquire: pairs with the release of the thread that asks; the loader has finished.
    const uint32_t request = __atomic_load_n(&header.library_request, __ATOMIC_ACQUIRE);
    if (request == done) {
      syscall(SYS_futex, &header.library_request, FUTEX_WAIT, request, &pause, nullptr, 0);
      continue;
    }
    absl::Status unwinders;
    if (may_load_unwinder_) OnTracer([&] { unwinders = FollowUnwinders(); });
    libraries_changed_(unwinders);
    done = request;
    // Release: pairs with the acquire of the thread that waits; the hooks are there.
    __atomic_store_n(&header.library_answer, done, __ATOMIC_RELEASE);
    syscall(SYS_futex, &header.library_answer, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  }
}

Outcome TracedProcess::Wait() { return *WaitFor(absl::InfiniteDuration()); }

absl::optional<Outcome> TracedProcess::WaitFor(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  const auto has_ended = [this]()
                             ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return outcome_.has_value(); };
  mutex_.AwaitWithTimeout(absl::Condition(&has_ended), timeout);
  return outcome_;
}

void TracedProcess::StopClock() { clock_line_.reset(); }

absl::Status TracedProcess::Signal(int signal) {
  absl::MutexLock lock(&mutex_);
  if (outcome_.has_value() || !started_.has_value() || !started_->ok()) {
    return absl::FailedPreconditionError(absl::StrCat(options_.program, " does not run"));
  }
  if (kill(pid(), signal) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot send signal ", signal, ": ", strerror(errno)));
  }
  return absl::OkStatus();
}

}  // namespace flightrec::target
