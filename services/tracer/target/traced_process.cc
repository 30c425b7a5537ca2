#include "services/tracer/target/traced_process.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/tracer/inject/spawn.h"
#include "services/tracer/target/exit_status.h"
#include "services/tracer/target/proc_files.h"

namespace flightrec::target {
namespace {

// While threads that did not stop in time are still to be let go.
constexpr int kSettleMilliseconds = 1;
constexpr int kEndCheckMilliseconds = 20;
// Much less than what the agent waits for, see agent/libraries.h.
constexpr int kBeatMilliseconds = 100;
// How soon a stop of the watching thread is seen.
constexpr int64_t kWatchNanoseconds = 100'000'000;
// When a thread does not stop; each takes as long as ThreadControl tries.
constexpr int kDetachAttempts = 10;

int Reap(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, __WALL) < 0 && errno == EINTR) {
  }
  return status;
}

// The child of a failed launch must not run on without its hooks.
void KillAndReap(pid_t pid) {
  kill(pid, SIGKILL);
  Reap(pid);
}

// A sandbox may forbid it: then -1.
int OpenProcess(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

bool HasEnded(pid_t pid, bool is_child) {
  siginfo_t info = {};
  if (is_child) {
    waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT | WNOHANG);
    return info.si_pid != 0;
  }
  const absl::StatusOr<ThreadStatus> status = ReadThreadStatus(pid, pid);
  return !status.ok() || status->state == 'Z' || status->state == 'X';
}

}  // namespace

absl::StatusOr<std::unique_ptr<TracedProcess>> TracedProcess::Launch(LaunchOptions options) {
  if (options.argv.empty() || options.module == nullptr || options.plan == nullptr) {
    return absl::InvalidArgumentError("a launch needs argv, a module and a plan");
  }
  return Begun(/*launched=*/true,
               [&options](TracedProcess& process) { return process.Start(std::move(options)); });
}

absl::StatusOr<std::unique_ptr<TracedProcess>> TracedProcess::Attach(AttachOptions options) {
  if (options.pid <= 0 || options.plan == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("pid ", options.pid, ": an attach needs a pid above 0 and a plan"));
  }
  return Begun(/*launched=*/false,
               [&options](TracedProcess& process) { return process.Join(std::move(options)); });
}

absl::StatusOr<std::unique_ptr<TracedProcess>> TracedProcess::TakeOver(
    const JournalContent& journal, InstallOptions options) {
  return Begun(/*launched=*/false, [&](TracedProcess& process) {
    process.process_ = OpenProcess(static_cast<pid_t>(journal.process.pid));
    auto installation = Installation::TakeOver(journal, std::move(options));
    if (installation.ok()) process.installation_ = *std::move(installation);
    return installation.status();
  });
}

absl::StatusOr<std::unique_ptr<TracedProcess>> TracedProcess::OfEnded(
    const lane::ProcessIdentity& identity, InstallOptions options) {
  return Begun(/*launched=*/false, [&](TracedProcess& process) {
    return process.Collect(identity, std::move(options));
  });
}

absl::StatusOr<std::unique_ptr<TracedProcess>> TracedProcess::Begun(bool launched,
                                                                    const Begin& begin) {
  std::unique_ptr<TracedProcess> process(new TracedProcess(launched));
  process->wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (process->wake_ < 0)
    return absl::ResourceExhaustedError(absl::StrCat("cannot make an eventfd: ", strerror(errno)));
  // `begin` is not called any more when this function returns.
  process->tracer_ = std::thread([p = process.get(), &begin] { p->Run(begin); });
  absl::MutexLock lock(&process->mutex_);
  const auto has_started = [p = process.get()]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(p->mutex_) {
    return p->started_.has_value();
  };
  process->mutex_.Await(absl::Condition(&has_started));
  if (!process->started_->ok()) return *process->started_;
  return process;
}

TracedProcess::~TracedProcess() {
  StopLibraryWatch();
  // No errors to report: it may have ended already.
  if (launched_) {
    Signal(SIGKILL).IgnoreError();
  } else {
    Detach().status().IgnoreError();
    absl::MutexLock lock(&mutex_);
    LetGo();
  }
  if (tracer_.joinable()) tracer_.join();
  for (const int descriptor : {wake_, process_}) {
    if (descriptor >= 0) close(descriptor);
  }
  if (installation_ != nullptr && installation_->has_lane()) {
    // Gone already if this is the end of a recording.
    unlink(lane().path().c_str());
  }
}

void TracedProcess::Run(const Begin& begin) {
  const absl::Status status = begin(*this);
  bool ended;
  {
    absl::MutexLock lock(&mutex_);
    started_ = status;
    ended = outcome_.has_value();
  }
  if (status.ok() && !ended) ServeUntilEnd();
  if (installation_ != nullptr) installation_->EndTracing();
  if (!status.ok() || ended) return;
  absl::MutexLock lock(&mutex_);
  if (!let_go_) installation_->EndJournal();
  if (let_go_) {
    if (launched_) std::thread([pid = pid()] { Reap(pid); }).detach();
  } else if (launched_) {
    Finish(Reap(pid()));
  } else {
    Finish(exit_status_);
  }
  // Whoever waits for a job sees that nobody will do it.
  jobs_.clear();
}

void TracedProcess::ServeUntilEnd() {
  // A child stays a zombie behind it, so that Signal never hits another process.
  if (launched_) process_ = OpenProcess(pid());
  pollfd events[] = {{process_, POLLIN, 0}, {wake_, POLLIN, 0}};
  // Without it the end is asked for.
  const int idle = process_ >= 0 ? -1 : kEndCheckMilliseconds;
  bool over = false;
  while (!over) {
    const bool watch = __atomic_load_n(&header().library_watch, __ATOMIC_RELAXED) != 0;
    // Relaxed: all that counts is that it changes.
    if (watch) __atomic_fetch_add(&header().tracer_beat, 1, __ATOMIC_RELAXED);
    const int pause = watch ? kBeatMilliseconds : idle;
    poll(events, 2, installation_->Settle() ? pause : kSettleMilliseconds);
    if ((events[1].revents & POLLIN) != 0) RunJobs();
    over = (events[0].revents & POLLIN) != 0 || (process_ < 0 && HasEnded(pid(), launched_));
    absl::MutexLock lock(&mutex_);
    over = over || let_go_;
  }
  if (!launched_) exit_status_ = ReadExitStatus(pid(), process_);
}

void TracedProcess::RunJobs() {
  uint64_t count;
  if (read(wake_, &count, sizeof(count)) < 0 && errno != EAGAIN) return;
  while (true) {
    Job* job = nullptr;
    {
      absl::MutexLock lock(&mutex_);
      // Let go: there is nothing of ours in the program any more.
      if (jobs_.empty() || let_go_) return;
      job = jobs_.front();
      jobs_.pop_front();
      job->started = true;
    }
    job->run();
    absl::MutexLock lock(&mutex_);
    job->done = true;
  }
}

bool TracedProcess::OnTracer(std::function<void()> run) {
  Job job = {std::move(run)};
  absl::MutexLock lock(&mutex_);
  if (IsOver() || !started_.has_value() || !started_->ok()) return false;
  jobs_.push_back(&job);
  const uint64_t one = 1;
  // Fails only if it is signalled already.
  static_cast<void>(write(wake_, &one, sizeof(one)) < 0);
  const auto over = [this, &job]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return job.done || (IsOver() && !job.started);
  };
  mutex_.Await(absl::Condition(&over));
  jobs_.erase(std::remove(jobs_.begin(), jobs_.end(), &job), jobs_.end());
  return job.done;
}

void TracedProcess::Finish(absl::optional<int> wait_status) {
  Outcome outcome;
  if (!wait_status.has_value()) {
    outcome.unknown = true;
  } else if (WIFSIGNALED(*wait_status)) {
    outcome.signaled = true;
    outcome.signal = WTERMSIG(*wait_status);
    outcome.dumped_core = WCOREDUMP(*wait_status);
  } else {
    outcome.exit_code = WEXITSTATUS(*wait_status);
  }
  if (installation_->has_lane())
    outcome.replaced_by_exec = header().execs_begun > header().execs_failed;
  outcome_ = outcome;
}

absl::Status TracedProcess::Start(LaunchOptions options) {
  const absl::StatusOr<pid_t> pid = inject::Spawn(
      {options.program, options.argv, options.env, options.cwd, options.stdio, options.inherited});
  if (!pid.ok()) return pid.status();
  const auto fail = [&pid, this](const absl::Status& status) {
    KillAndReap(*pid);
    if (installation_ != nullptr) installation_->EndJournal();
    return status;
  };
  // The kernel maps the program itself by its real path.
  std::error_code error;
  const std::string path = std::filesystem::canonical(options.program, error).string();
  auto installation =
      Installation::Create(*pid, path, ThreadControl::Relation::kChild, std::move(options));
  if (!installation.ok()) return fail(installation.status());
  installation_ = *std::move(installation);
  const absl::StatusOr<absl::optional<int>> ended = installation_->RunToEntry();
  if (!ended.ok()) return fail(ended.status());
  if (ended->has_value()) {
    absl::MutexLock lock(&mutex_);
    Finish(**ended);
    return absl::OkStatus();
  }
  const absl::Status status = installation_->InstallAtEntry(std::move(options.module));
  return status.ok() ? status : fail(status);
}

absl::Status TracedProcess::Join(AttachOptions options) {
  const pid_t pid = options.pid;
  // First: what is found out about the pid is true of this process if it still runs afterwards.
  process_ = OpenProcess(pid);
  absl::StatusOr<std::string> program = ReadMainPath(pid);
  if (!program.ok()) return program.status();
  auto installation = Installation::Create(pid, *std::move(program),
                                           ThreadControl::Relation::kForeign, std::move(options));
  if (!installation.ok()) return installation.status();
  pollfd end = {process_, POLLIN, 0};
  if (process_ >= 0 && poll(&end, 1, 0) > 0)
    return absl::NotFoundError(absl::StrCat("process ", pid, " has ended"));
  installation_ = *std::move(installation);
  return installation_->InstallWhileRunning();
}

absl::Status TracedProcess::Collect(const lane::ProcessIdentity& identity, InstallOptions options) {
  auto installation = Installation::OfEnded(identity, std::move(options));
  if (!installation.ok()) return installation.status();
  installation_ = *std::move(installation);
  installation_->EndJournal();
  absl::MutexLock lock(&mutex_);
  Finish(absl::nullopt);
  return absl::OkStatus();
}

void TracedProcess::LetGo() {
  let_go_ = true;
  const uint64_t one = 1;
  // Fails only if it is signalled already.
  static_cast<void>(write(wake_, &one, sizeof(one)) < 0);
}

absl::StatusOr<Removal> TracedProcess::Detach() {
  absl::StatusOr<Removal> removal = Removal();
  StopLibraryWatch();
  for (int attempt = 0; attempt < kDetachAttempts; ++attempt) {
    if (!OnTracer([&] { removal = installation_->Remove(); })) return removal;
    // A thread in vfork or in an uninterruptible wait: each attempt takes its time.
    if (removal.status().code() != absl::StatusCode::kDeadlineExceeded) break;
  }
  if (!removal.ok() || !removal->left.empty()) return removal;
  absl::MutexLock lock(&mutex_);
  LetGo();
  return removal;
}

absl::StatusOr<std::vector<MappedModule>> TracedProcess::Modules() const {
  return installation_->Modules();
}

absl::StatusOr<HookChangeResult> TracedProcess::ChangeHooks(const HookChange& change) {
  absl::StatusOr<HookChangeResult> result = absl::FailedPreconditionError(
      absl::StrCat(installation_->program(), " has ended; its hooks cannot be changed any more"));
  OnTracer([&] { result = installation_->Change(change); });
  return result;
}

size_t TracedProcess::ForgetCode(uint64_t low, uint64_t high) {
  size_t live = 0;
  OnTracer([&] { live = installation_->ForgetCode(low, high); });
  return live;
}

absl::Status TracedProcess::WatchLibraries(std::function<void(const absl::Status&)> changed) {
  if (!installation_->loader_events().ok()) return installation_->loader_events();
  libraries_changed_ = std::move(changed);
  __atomic_store_n(&header().library_watch, 1, __ATOMIC_RELEASE);
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
  if (installation_ == nullptr || !installation_->has_lane()) return;
  __atomic_store_n(&header().library_watch, 0, __ATOMIC_RELEASE);
  syscall(SYS_futex, &header().library_answer, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  if (library_watch_.joinable()) library_watch_.join();
}

uint32_t TracedProcess::missed_library_changes() const {
  return __atomic_load_n(&header().library_given_up, __ATOMIC_RELAXED);
}

void TracedProcess::ServeLibraries() {
  lane::FileHeader& shared = header();
  uint32_t done = 0;
  // What was loaded while an attach had already looked and did not tell yet.
  bool unseen = !launched_;
  const timespec pause = {0, kWatchNanoseconds};
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      if (stop_library_watch_) return;
    }
    // Acquire: pairs with the release of the thread that asks; the loader has finished.
    const uint32_t request = __atomic_load_n(&shared.library_request, __ATOMIC_ACQUIRE);
    if (request == done && !unseen) {
      syscall(SYS_futex, &shared.library_request, FUTEX_WAIT, request, &pause, nullptr, 0);
      continue;
    }
    absl::Status unwinders;
    if (may_load_unwinder()) OnTracer([&] { unwinders = installation_->FollowUnwinders(); });
    libraries_changed_(unwinders);
    done = request;
    unseen = false;
    // Release: pairs with the acquire of the thread that waits; the hooks are there.
    __atomic_store_n(&shared.library_answer, done, __ATOMIC_RELEASE);
    syscall(SYS_futex, &shared.library_answer, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
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

void TracedProcess::StopClock() { installation_->StopClock(); }

absl::Status TracedProcess::Signal(int signal) {
  absl::MutexLock lock(&mutex_);
  if (IsOver() || !started_.has_value() || !started_->ok()) {
    return absl::FailedPreconditionError("the program does not run, or was let go");
  }
  if (kill(pid(), signal) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot send signal ", signal, ": ", strerror(errno)));
  }
  return absl::OkStatus();
}

}  // namespace flightrec::target
