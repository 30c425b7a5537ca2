#include "services/tracer/target/thread_control.h"

#include <elf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <array>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/tracer/inject/memory_map.h"
#include "services/tracer/target/proc_files.h"
#include "services/tracer/target/return_frame.h"

namespace flightrec::target {
namespace {

constexpr int kSystemCallStop = SIGTRAP | 0x80;  // PTRACE_O_TRACESYSGOOD
// Between two looks at threads that are about to stop.
constexpr absl::Duration kLookAgain = absl::Microseconds(20);
constexpr int kLooksUntilDeadCheck = 100;
// A system call that the tracer asks for; mmap and the like do not block.
constexpr absl::Duration kCallTimeout = absl::Seconds(5);
constexpr uint64_t kSystemCallCode = 0x050F;  // as a little-endian number
constexpr uint64_t kAllSignals = ~uint64_t{0};
// Of vector registers; processors with tiles have 11 KiB.
constexpr size_t kMaxVectorBytes = kFrameRoom / 2;
constexpr uint64_t kRedZone = 128;
// New threads that appear while the others are being stopped.
constexpr int kMaxRounds = 1000;

// From request codes as <sys/ptrace.h> has them, whose enum is not an int.
long Ptrace(int request, pid_t tid, uint64_t address, uint64_t data) {
  return ptrace(static_cast<__ptrace_request>(request), tid, address, data);
}

absl::Status PtraceError(const char* what, pid_t tid) {
  return absl::FailedPreconditionError(
      absl::StrCat("ptrace ", what, " of thread ", tid, ": ", strerror(errno), "; was it killed?"));
}

std::string CommandOf(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/comm"));
  std::string name;
  std::getline(file, name);
  return name;
}

// Signals that an instruction of the thread itself causes.
bool IsFault(int signal) {
  return signal == SIGSEGV || signal == SIGBUS || signal == SIGILL || signal == SIGFPE;
}

// Whether a stack has room below `rsp`: the first one of the program, or one with a guard page
// below. Those that a program has cut out of other memory have neighbours that nobody knows.
bool HasRoom(pid_t pid, uint64_t rsp) {
  const absl::StatusOr<inject::MemoryMap> map = inject::MemoryMap::Read(pid);
  if (!map.ok()) return false;
  const inject::Mapping* below = nullptr;
  for (const inject::Mapping& mapping : map->mappings()) {
    if (rsp - mapping.low < mapping.high - mapping.low) {
      const bool guarded = below != nullptr && below->high == mapping.low && !below->readable &&
                           below->path.empty() && mapping.path.empty();
      return mapping.writable && (mapping.path == "[stack]" || guarded) &&
             rsp - mapping.low >= kFrameRoom;
    }
    below = &mapping;
  }
  return false;
}

// The system call that has become restart_syscall, which rt_sigreturn makes impossible: as the code
// in front of `rip` says.
absl::optional<uint64_t> RestartedCall(pid_t tid, uint64_t rip) {
  constexpr size_t kCodeBytes = 7;  // mov $number, %eax; syscall
  std::array<uint8_t, kCodeBytes> code;
  const iovec to = {code.data(), code.size()};
  const iovec from = {reinterpret_cast<void*>(rip - kCodeBytes), code.size()};
  if (process_vm_readv(tid, &to, 1, &from, 1, 0) != static_cast<ssize_t>(code.size()) ||
      code[0] != 0xB8)
    return absl::nullopt;
  uint32_t number;
  memcpy(&number, code.data() + 1, sizeof(number));
  return number;
}

void SetArguments(const std::vector<uint64_t>& arguments, user_regs_struct& registers) {
  std::array<uint64_t, 6> a = {};
  for (size_t i = 0; i < arguments.size() && i < a.size(); ++i) a[i] = arguments[i];
  registers.rdi = a[0];
  registers.rsi = a[1];
  registers.rdx = a[2];
  registers.r10 = a[3];
  registers.r8 = a[4];
  registers.r9 = a[5];
}

}  // namespace

ThreadControl::~ThreadControl() {
  Resume();
  // Those that are left stop sooner or later; nobody must find them traced then.
  const absl::Time give_up = absl::Now() + kCallTimeout;
  while (!Settle() && absl::Now() < give_up) absl::SleepFor(kStopPause);
}

absl::Status ThreadControl::StopAll() { return Stop(/*all=*/true); }

absl::Status ThreadControl::StopOne() { return Stop(/*all=*/false); }

absl::Status ThreadControl::Stop(bool all) {
  absl::Status status;
  for (int attempt = 0; attempt < kStopAttempts; ++attempt) {
    status = TryStop(all);
    if (status.ok()) return status;
    Resume();
    if (status.code() != absl::StatusCode::kDeadlineExceeded) break;
    absl::SleepFor(kStopPause);
    Settle();
  }
  return status;
}

absl::Status ThreadControl::TryStop(bool all) {
  const absl::Time deadline = absl::Now() + kStopTimeout;
  if (all) BeUrgent();
  // The kernel may skip an entry of the folder while others disappear: two rounds without a new
  // thread.
  int quiet = 0;
  for (int round = 0; quiet < 2 && round < kMaxRounds; ++round) {
    const absl::StatusOr<std::vector<pid_t>> listed = ListThreads(pid_);
    if (!listed.ok()) return listed.status();
    // They run on meanwhile.
    std::vector<pid_t> seized;
    absl::Status refused;
    for (const pid_t tid : *listed) {
      if (threads_.count(tid) != 0) continue;
      const absl::StatusOr<bool> is_seized = Seize(tid);
      refused = is_seized.status();
      if (!refused.ok()) break;
      if (!*is_seized) continue;
      seized.push_back(tid);
      if (!all) break;
    }
    if (round == 0) stopping_since_ = absl::Now();
    // Those of a process that is refused too: a thread can only be let go when it stands.
    for (const pid_t tid : seized) Ptrace(PTRACE_INTERRUPT, tid, 0, 0);
    absl::Status stopped = AwaitStops(deadline);
    if (!refused.ok()) return refused;
    if (!all && !this->stopped().empty()) return absl::OkStatus();
    if (!stopped.ok()) return stopped;
    quiet = seized.empty() ? quiet + 1 : 0;
  }
  if (quiet < 2) {
    return absl::DeadlineExceededError(
        absl::StrCat("process ", pid_, " starts threads faster than they can be stopped"));
  }
  if (threads_.empty()) return absl::NotFoundError(absl::StrCat("process ", pid_, " has ended"));
  return absl::OkStatus();
}

absl::StatusOr<bool> ThreadControl::Seize(pid_t tid) {
  if (Ptrace(PTRACE_SEIZE, tid, 0, PTRACE_O_TRACESYSGOOD) != 0) {
    const int error = errno;
    if (error == ESRCH || IsDead(tid)) return false;
    const absl::StatusOr<ThreadStatus> status = ReadThreadStatus(pid_, tid);
    if (status.ok() && status->tracer != 0) {
      return absl::FailedPreconditionError(
          absl::StrCat("process ", pid_, " is traced by process ", status->tracer, " (",
                       CommandOf(status->tracer), "); detach that one first"));
    }
    return absl::PermissionDeniedError(
        absl::StrCat("thread ", tid, " of process ", pid_, " cannot be stopped: ", strerror(error),
                     "; run the tracer as the program's user with CAP_SYS_PTRACE"));
  }
  threads_[tid] = State::kAsked;
  return true;
}

bool ThreadControl::IsDead(pid_t tid) const {
  const absl::StatusOr<ThreadStatus> status = ReadThreadStatus(pid_, tid);
  return !status.ok() || status->state == 'Z' || status->state == 'X';
}

ThreadControl::Progress ThreadControl::Poll(pid_t tid, int& event, int& signal) {
  event = signal = 0;
  const auto process = static_cast<id_t>(tid);
  siginfo_t info = {};
  // WNOWAIT: the end of a child is for somebody else to take.
  if (waitid(P_PID, process, &info, WSTOPPED | WEXITED | WNOWAIT | WNOHANG | __WALL) != 0)
    return errno == EINTR ? Progress::kRunning : Progress::kGone;
  if (info.si_pid == 0) return Progress::kRunning;
  if (info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED) {
    if (tid != pid_ || relation_ == Relation::kForeign)
      waitid(P_PID, process, &info, WEXITED | WNOHANG | __WALL);
    return Progress::kGone;
  }
  info = {};
  if (waitid(P_PID, process, &info, WSTOPPED | WNOHANG | __WALL) != 0 || info.si_pid == 0)
    return Progress::kRunning;
  event = info.si_status >> 8;
  if (event == 0) signal = info.si_status;
  return Progress::kStopped;
}

absl::Status ThreadControl::AwaitStops(absl::Time deadline) {
  for (int look = 1;; ++look) {
    pid_t waiting = 0;
    for (auto thread = threads_.begin(); thread != threads_.end();) {
      const auto [tid, state] = *thread;
      int event, signal;
      const Progress progress =
          state == State::kStopped ? Progress::kRunning : Poll(tid, event, signal);
      const bool dead = progress == Progress::kGone ||
                        (state == State::kAsked && progress == Progress::kRunning &&
                         look % kLooksUntilDeadCheck == 0 && tid == pid_ && IsDead(tid));
      if (dead) {
        detoured_.erase(tid);
        thread = threads_.erase(thread);
        continue;
      }
      // False: on a detour of the tracer that took too long; it stops once more.
      if (progress == Progress::kStopped && EndDetour(tid, signal)) {
        if (event == PTRACE_EVENT_STOP) {
          thread->second = State::kStopped;
        } else {
          // About to receive a signal: it stops again at the first instruction of the handler.
          Ptrace(PTRACE_CONT, tid, 0, static_cast<uint64_t>(signal));
        }
      }
      if (thread->second == State::kAsked) waiting = tid;
      ++thread;
    }
    if (waiting == 0) return absl::OkStatus();
    if (absl::Now() > deadline) {
      const absl::StatusOr<ThreadStatus> status = ReadThreadStatus(pid_, waiting);
      return absl::DeadlineExceededError(
          absl::StrCat("thread ", waiting, " of process ", pid_, " does not stop (state ",
                       std::string(1, status.ok() ? status->state : '?'), "); try again"));
    }
    absl::SleepFor(kLookAgain);
  }
}

std::vector<pid_t> ThreadControl::stopped() const {
  std::vector<pid_t> stopped;
  for (const auto& [tid, state] : threads_) {
    if (state == State::kStopped) stopped.push_back(tid);
  }
  return stopped;
}

absl::StatusOr<user_regs_struct> ThreadControl::Registers(pid_t tid) const {
  user_regs_struct registers;
  if (ptrace(PTRACE_GETREGS, tid, nullptr, &registers) != 0) return PtraceError("GETREGS", tid);
  return registers;
}

absl::Status ThreadControl::SetRegisters(pid_t tid, const user_regs_struct& registers) const {
  if (ptrace(PTRACE_SETREGS, tid, nullptr, &registers) != 0) return PtraceError("SETREGS", tid);
  return absl::OkStatus();
}

absl::Status ThreadControl::AwaitEvent(pid_t tid, int wanted, int request) {
  const absl::Time deadline = absl::Now() + kCallTimeout;
  while (absl::Now() < deadline) {
    int event, signal;
    const Progress progress = Poll(tid, event, signal);
    if (progress == Progress::kGone || (progress == Progress::kRunning && IsDead(tid))) {
      if (progress == Progress::kGone) Forget(tid);
      return absl::NotFoundError(absl::StrCat("process ", pid_, " ended meanwhile"));
    }
    if (progress == Progress::kRunning) {
      absl::SleepFor(kLookAgain);
      continue;
    }
    if (event == wanted || (event == 0 && signal == wanted)) return absl::OkStatus();
    if (IsFault(signal) && detoured_.count(tid) != 0) {
      return absl::FailedPreconditionError(absl::StrCat("a system call of the tracer in thread ",
                                                        tid, " ended with: ", strsignal(signal)));
    }
    // An earlier request to stop that was still under way, or a signal that cannot be blocked.
    const int passed_on = signal == kSystemCallStop ? 0 : signal;
    if (Ptrace(request, tid, 0, static_cast<uint64_t>(passed_on)) != 0)
      return PtraceError("continue", tid);
  }
  // AwaitStops or Settle takes it back to where it was.
  threads_[tid] = State::kAsked;
  Ptrace(PTRACE_INTERRUPT, tid, 0, 0);
  return absl::DeadlineExceededError(
      absl::StrCat("a system call of the tracer in thread ", tid, " does not return"));
}

uint64_t ThreadControl::LeaveReturnFrame(pid_t tid, const Detoured& before,
                                         const CallSite& site) const {
  std::vector<uint8_t> vectors(kMaxVectorBytes);
  iovec local = {vectors.data(), vectors.size()};
  if (site.restorer == 0 ||
      ptrace(PTRACE_GETREGSET, tid, reinterpret_cast<void*>(NT_X86_XSTATE), &local) != 0)
    return before.registers.rsp;
  vectors.resize(local.iov_len);
  user_regs_struct registers = before.registers;
  if (registers.orig_rax == SYS_restart_syscall)
    registers.orig_rax = RestartedCall(tid, registers.rip).value_or(registers.orig_rax);
  // One that did not come back in time has the tracer's memory.
  const bool own_stack = site.frames_end == 0 || detoured_.size() > 1;
  if (own_stack && !HasRoom(pid_, registers.rsp)) return before.registers.rsp;
  ReturnFrame frame = MakeReturnFrame(registers, before.mask, vectors, site.restorer,
                                      own_stack ? registers.rsp - kRedZone : site.frames_end);
  const iovec from = {frame.bytes.data(), frame.bytes.size()};
  const iovec to = {reinterpret_cast<void*>(frame.address), frame.bytes.size()};
  // Not written: then it has none to find back by.
  const bool written =
      process_vm_writev(tid, &from, 1, &to, 1, 0) == static_cast<ssize_t>(frame.bytes.size());
  return written ? frame.address : before.registers.rsp;
}

absl::StatusOr<uint64_t> ThreadControl::Detour(pid_t tid, const user_regs_struct& saved,
                                               int64_t number,
                                               const std::vector<uint64_t>& arguments,
                                               const CallSite& site) {
  user_regs_struct registers = saved;
  registers.rip = site.instruction;
  registers.rsp = LeaveReturnFrame(tid, detoured_[tid], site);
  registers.rax = static_cast<uint64_t>(number);
  registers.orig_rax = ~uint64_t{0};  // no restart of an interrupted call now
  SetArguments(arguments, registers);
  absl::Status status = SetRegisters(tid, registers);
  // Not before: when this process ends, only the frame gives the mask back.
  if (status.ok() && Ptrace(PTRACE_SETSIGMASK, tid, sizeof(kAllSignals),
                            reinterpret_cast<uint64_t>(&kAllSignals)) != 0)
    status = PtraceError("SETSIGMASK", tid);
  // Once to the call's entry, once to its exit.
  for (int i = 0; i < 2 && status.ok(); ++i) {
    if (Ptrace(PTRACE_SYSCALL, tid, 0, 0) != 0) return PtraceError("SYSCALL", tid);
    status = AwaitEvent(tid, kSystemCallStop, PTRACE_SYSCALL);
  }
  if (!status.ok()) return status;
  const absl::StatusOr<user_regs_struct> after = Registers(tid);
  if (!after.ok()) return after.status();
  return after->rax;
}

// What was there may have gone with the program: this one was executed in its place.
absl::Status ThreadControl::CheckInstruction(pid_t tid, uint64_t instruction) const {
  errno = 0;
  const auto word = static_cast<uint64_t>(Ptrace(PTRACE_PEEKTEXT, tid, instruction, 0));
  if (errno == 0 && (word & 0xFFFF) == kSystemCallCode) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("process ", pid_, " runs another program now: the tracer's code at ",
                   absl::Hex(instruction), " is not there"));
}

absl::Status ThreadControl::Restore(pid_t tid) {
  const auto detoured = detoured_.find(tid);
  if (detoured == detoured_.end()) return absl::OkStatus();
  const Detoured before = detoured->second;
  detoured_.erase(detoured);
  // The registers last: until then the frame gives both back.
  const bool masked = Ptrace(PTRACE_SETSIGMASK, tid, sizeof(before.mask),
                             reinterpret_cast<uint64_t>(&before.mask)) == 0;
  const absl::Status status = masked ? absl::OkStatus() : PtraceError("SETSIGMASK", tid);
  const absl::Status set = SetRegisters(tid, before.registers);
  return status.ok() ? set : status;
}

bool ThreadControl::EndDetour(pid_t tid, int& signal) {
  const auto detoured = detoured_.find(tid);
  if (detoured == detoured_.end()) return true;
  if (signal == kSystemCallStop) {
    // With its own number, a thread at the call's entry would make its own call a second time.
    user_regs_struct registers = detoured->second.registers;
    registers.orig_rax = ~uint64_t{0};
    const absl::Status set = SetRegisters(tid, registers);
    Ptrace(PTRACE_INTERRUPT, tid, 0, 0);
    Ptrace(PTRACE_CONT, tid, 0, 0);
    // Not set: it was killed.
    return !set.ok();
  }
  if (IsFault(signal)) signal = 0;
  return Restore(tid).ok();
}

void ThreadControl::Forget(pid_t tid) {
  threads_.erase(tid);
  detoured_.erase(tid);
}

absl::StatusOr<uint64_t> ThreadControl::SystemCall(const char* what, int64_t number,
                                                   const std::vector<uint64_t>& arguments,
                                                   const CallSite& site) {
  const std::vector<pid_t> candidates = stopped();
  if (candidates.empty()) return absl::FailedPreconditionError("no thread is stopped");
  const pid_t tid = candidates.front();
  const absl::StatusOr<user_regs_struct> saved = Registers(tid);
  if (!saved.ok()) return saved.status();
  absl::Status status = CheckInstruction(tid, site.instruction);
  if (!status.ok()) return status;
  uint64_t mask = 0;
  if (Ptrace(PTRACE_GETSIGMASK, tid, sizeof(mask), reinterpret_cast<uint64_t>(&mask)) != 0)
    return PtraceError("GETSIGMASK", tid);
  detoured_[tid] = {*saved, mask};
  const absl::StatusOr<uint64_t> result = Detour(tid, *saved, number, arguments, site);
  const auto thread = threads_.find(tid);
  // Gone, or it does not stop: then Settle restores it.
  if (thread == threads_.end() || thread->second != State::kStopped) return result.status();
  status = Restore(tid);
  if (!status.ok()) return status;
  // From here a call that was interrupted would not be restarted; from a stop by request it is.
  Ptrace(PTRACE_INTERRUPT, tid, 0, 0);
  if (Ptrace(PTRACE_CONT, tid, 0, 0) != 0) return PtraceError("CONT", tid);
  status = AwaitEvent(tid, PTRACE_EVENT_STOP, PTRACE_CONT);
  if (!result.ok()) return result.status();
  if (!status.ok()) return status;
  const auto value = static_cast<int64_t>(*result);
  if (value < 0 && value > -4096) {
    return absl::ErrnoToStatus(static_cast<int>(-value),
                               absl::StrCat(what, " inside process ", pid_));
  }
  return *result;
}

void ThreadControl::Resume() {
  for (auto thread = threads_.begin(); thread != threads_.end();) {
    // Killed meanwhile: it runs nothing any more.
    if (thread->second == State::kStopped) Restore(thread->first).IgnoreError();
    if (thread->second == State::kStopped && Ptrace(PTRACE_DETACH, thread->first, 0, 0) == 0) {
      thread = threads_.erase(thread);
      continue;
    }
    // Killed meanwhile, or not stopped yet: Settle takes care of it.
    thread->second = State::kAsked;
    ++thread;
  }
  Settle();
  BeOrdinary();
}

void ThreadControl::BeUrgent() {
  // 0 is this thread. One that has a policy of its own keeps it.
  if (urgent_ || sched_getscheduler(0) != SCHED_OTHER) return;
  const sched_param lowest = {.sched_priority = 1};
  urgent_ = sched_setscheduler(0, SCHED_FIFO, &lowest) == 0;
}

void ThreadControl::BeOrdinary() {
  if (!urgent_) return;
  const sched_param none = {.sched_priority = 0};
  sched_setscheduler(0, SCHED_OTHER, &none);
  urgent_ = false;
}

bool ThreadControl::Settle() {
  for (auto thread = threads_.begin(); thread != threads_.end();) {
    const pid_t tid = thread->first;
    int event, signal;
    const Progress progress = Poll(tid, event, signal);
    const bool gone = progress == Progress::kGone ||
                      (progress == Progress::kRunning && tid == pid_ && IsDead(tid));
    const bool let_go = progress == Progress::kStopped && EndDetour(tid, signal) &&
                        Ptrace(PTRACE_DETACH, tid, 0, static_cast<uint64_t>(signal)) == 0;
    ++thread;
    if (gone || let_go) Forget(tid);
  }
  return threads_.empty();
}

}  // namespace flightrec::target
