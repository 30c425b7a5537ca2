#include "services/tracer/target/traced_process.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/wait.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/tracer/inject/memory_map.h"
#include "services/tracer/inject/remote_process.h"
#include "services/tracer/inject/spawn.h"
#include "services/tracer/symbols/module_reader.h"
#include "services/tracer/target/proc_files.h"
#include "services/tracer/target/process_memory.h"

namespace flightrec::target {
namespace {

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

// Modules that may hold an unwinder's lookup, apart from the program itself.
bool MayUnwind(const inject::Mapping& mapping, uint64_t loader) {
  if (mapping.file_offset != 0 || mapping.path.empty()) return false;
  return (loader != 0 && mapping.low == loader) || absl::StrContains(mapping.path, "/libgcc_s");
}

uint64_t LoadBias(const symbols::Module& module, uint64_t low) {
  if (!module.is_pie || module.segments.empty()) return 0;
  return low - (module.segments.front().vaddr & ~(lane::kPageBytes - 1));
}

absl::Status AddUnwinders(pid_t pid, uint64_t loader, HookInstaller& installer) {
  const absl::StatusOr<inject::MemoryMap> map = inject::MemoryMap::Read(pid);
  if (!map.ok()) return map.status();
  for (const inject::Mapping& mapping : map->mappings()) {
    if (!MayUnwind(mapping, loader)) continue;
    const absl::StatusOr<symbols::Module> module = symbols::ReadModule(mapping.path);
    if (!module.ok()) return module.status();
    const absl::Status status = installer.AddUnwinder(*module, LoadBias(*module, mapping.low));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// What is mapped from files, each once, the main executable first.
absl::StatusOr<std::vector<MappedModule>> ListModules(pid_t pid, const std::string& program) {
  const absl::StatusOr<inject::MemoryMap> map = inject::MemoryMap::Read(pid);
  if (!map.ok()) return map.status();
  // The kernel maps the program itself by its real path.
  std::error_code error;
  const std::string main_path = std::filesystem::canonical(program, error).string();
  std::vector<MappedModule> modules;
  for (const inject::Mapping& mapping : map->mappings()) {
    if (mapping.file_offset != 0 || mapping.path.empty() || mapping.path[0] != '/') continue;
    const auto same = [&mapping](const MappedModule& known) { return known.path == mapping.path; };
    if (std::any_of(modules.begin(), modules.end(), same)) continue;
    const bool is_main = mapping.path == main_path;
    modules.insert(is_main ? modules.begin() : modules.end(), {mapping.path, mapping.low, is_main});
  }
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
  // No error to report: it may have ended already.
  Signal(SIGKILL).IgnoreError();
  if (tracer_.joinable()) tracer_.join();
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
  // Leaves the child a zombie, so that Signal never hits another process.
  siginfo_t info;
  while (waitid(P_PID, identity_.pid, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
  }
  absl::MutexLock lock(&mutex_);
  int wait_status = 0;
  while (waitpid(pid(), &wait_status, __WALL) < 0 && errno == EINTR) {
  }
  Finish(wait_status);
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
  const absl::StatusOr<absl::optional<int>> ended = (*process)->RunTo(entries->program);
  if (!ended.ok()) return fail(ended.status());
  if (ended->has_value()) {
    absl::Status created = CreateLane(/*functions=*/0);
    if (!created.ok()) return created;
    absl::MutexLock lock(&mutex_);
    Finish(**ended);
    return absl::OkStatus();
  }
  absl::Status status = Install(**process, entries->loader);
  if (status.ok()) status = (*process)->Detach();
  return status.ok() ? status : fail(status);
}

absl::Status TracedProcess::CreateLane(size_t functions) {
  // A lane has room for one function at least.
  absl::StatusOr<std::unique_ptr<lane::LaneFile>> lane = lane::LaneFile::Create(
      absl::StrCat(options_.lane_directory, "/", identity_.pid, "-", identity_.start_ticks,
                   ".lane"),
      options_.limits, static_cast<uint32_t>(std::max<size_t>(functions, 1)), identity_);
  if (!lane.ok()) return lane.status();
  lane_ = *std::move(lane);
  return absl::OkStatus();
}

absl::Status TracedProcess::Install(inject::RemoteProcess& process, uint64_t loader) {
  if (ListThreads(process.pid()).size() != 1) {
    return absl::FailedPreconditionError(
        absl::StrCat(options_.program,
                     " has more than one thread before its entry point; "
                     "a library starts threads when it is loaded"));
  }
  const absl::StatusOr<uint64_t> gs_base = process.GsBase();
  if (!gs_base.ok()) return gs_base.status();
  if (*gs_base != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(options_.program, " uses the gs base itself"));
  }
  const absl::StatusOr<std::vector<MappedModule>> mapped =
      ListModules(process.pid(), options_.program);
  if (!mapped.ok()) return mapped.status();
  const absl::StatusOr<std::vector<ModuleHooks>> plan = options_.plan(*mapped);
  if (!plan.ok()) return plan.status();
  size_t functions = 0;
  for (const ModuleHooks& hooks : *plan) functions += hooks.hooks.size();
  absl::Status status = CreateLane(functions);
  if (!status.ok()) return status;
  ProcessMemory memory(process, *lane_);
  HookInstaller installer(process, memory);
  status = memory.Prepare();
  uint32_t first_index = 0;
  for (const ModuleHooks& hooks : *plan) {
    if (!status.ok()) return status;
    status = installer.AddModule(*hooks.module, LoadBias(*hooks.module, hooks.base), hooks.hooks,
                                 first_index);
    first_index += static_cast<uint32_t>(hooks.hooks.size());
  }
  const symbols::Module& program = *options_.module;
  if (status.ok()) {
    status = installer.AddUnwinder(program, LoadBias(program, mapped->front().base));
  }
  if (status.ok()) status = AddUnwinders(process.pid(), loader, installer);
  if (status.ok()) status = memory.Activate();
  if (status.ok()) status = installer.Patch();
  failures_ = installer.failures();
  return status;
}

Outcome TracedProcess::Wait() { return *WaitFor(absl::InfiniteDuration()); }

absl::optional<Outcome> TracedProcess::WaitFor(absl::Duration timeout) {
  absl::MutexLock lock(&mutex_);
  const auto has_ended = [this]()
                             ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return outcome_.has_value(); };
  mutex_.AwaitWithTimeout(absl::Condition(&has_ended), timeout);
  return outcome_;
}

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
