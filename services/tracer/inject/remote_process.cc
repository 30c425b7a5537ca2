#include "services/tracer/inject/remote_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "absl/strings/str_cat.h"

namespace flightrec::inject {
namespace {

constexpr uint8_t kBreakpoint = 0xCC;
constexpr std::array<uint8_t, 2> kSystemCallCode = {0x0F, 0x05};
constexpr size_t kMaxArguments = 6;
// More stops than this while stepping over one instruction is a storm.
constexpr int kMaxSignalsPerStep = 1000;

absl::Status PtraceError(const char* what, pid_t pid) {
  return absl::FailedPreconditionError(absl::StrCat("ptrace ", what, " of process ", pid, ": ",
                                                    strerror(errno), "; was it killed?"));
}

absl::StatusOr<int> Wait(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, __WALL) < 0) {
    if (errno != EINTR) return PtraceError("wait", pid);
  }
  return status;
}

absl::StatusOr<user_regs_struct> GetRegisters(pid_t pid) {
  user_regs_struct registers;
  if (ptrace(PTRACE_GETREGS, pid, nullptr, &registers) != 0) {
    return PtraceError("GETREGS", pid);
  }
  return registers;
}

absl::Status SetRegisters(pid_t pid, const user_regs_struct& registers) {
  if (ptrace(PTRACE_SETREGS, pid, nullptr, &registers) != 0) {
    return PtraceError("SETREGS", pid);
  }
  return absl::OkStatus();
}

void SetArguments(const std::vector<uint64_t>& arguments, user_regs_struct& registers) {
  std::array<uint64_t, kMaxArguments> a = {};
  for (size_t i = 0; i < arguments.size() && i < a.size(); ++i) {
    a[i] = arguments[i];
  }
  registers.rdi = a[0];
  registers.rsi = a[1];
  registers.rdx = a[2];
  registers.r10 = a[3];
  registers.r8 = a[4];
  registers.r9 = a[5];
}

}  // namespace

absl::StatusOr<std::unique_ptr<RemoteProcess>> RemoteProcess::Adopt(pid_t pid) {
  const std::string path = absl::StrCat("/proc/", pid, "/mem");
  const int memory = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (memory < 0) {
    return absl::PermissionDeniedError(
        absl::StrCat("cannot open ", path, ": ", strerror(errno),
                     "; a program with more rights than the tracer cannot be traced"));
  }
  return std::unique_ptr<RemoteProcess>(new RemoteProcess(pid, memory));
}

RemoteProcess::~RemoteProcess() { close(memory_); }

absl::StatusOr<absl::optional<int>> RemoteProcess::RunTo(uint64_t address) {
  uint8_t original = 0;
  absl::Status status = Read(address, absl::MakeSpan(&original, 1));
  if (status.ok()) status = Write(address, {kBreakpoint});
  if (!status.ok()) return status;
  long signal = 0;
  while (true) {
    if (ptrace(PTRACE_CONT, pid_, nullptr, signal) != 0) {
      return PtraceError("CONT", pid_);
    }
    const absl::StatusOr<int> stop = Wait(pid_);
    if (!stop.ok()) return stop.status();
    if (!WIFSTOPPED(*stop)) return absl::optional<int>(*stop);
    signal = WSTOPSIG(*stop);
    absl::StatusOr<user_regs_struct> registers = GetRegisters(pid_);
    if (!registers.ok()) return registers.status();
    if (signal != SIGTRAP || registers->rip != address + 1) continue;
    registers->rip = address;
    status = SetRegisters(pid_, *registers);
    if (status.ok()) status = Write(address, {original});
    if (!status.ok()) return status;
    return absl::optional<int>();
  }
}

absl::Status RemoteProcess::Read(uint64_t address, absl::Span<uint8_t> out) const {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t count =
        pread(memory_, out.data() + done, out.size() - done, static_cast<off_t>(address + done));
    if (count <= 0) {
      return absl::FailedPreconditionError(absl::StrCat("cannot read ", out.size(), " bytes at ",
                                                        absl::Hex(address), " of process ", pid_,
                                                        ": ", strerror(errno)));
    }
    done += static_cast<size_t>(count);
  }
  return absl::OkStatus();
}

absl::Status RemoteProcess::Write(uint64_t address, absl::Span<const uint8_t> bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = pwrite(memory_, bytes.data() + done, bytes.size() - done,
                                 static_cast<off_t>(address + done));
    if (count <= 0) {
      return absl::FailedPreconditionError(absl::StrCat(
          "cannot write ", bytes.size(), " bytes at ", absl::Hex(address), " of process ", pid_,
          ": ", strerror(errno), "; the kernel may forbid it (proc_mem.force_override)"));
    }
    done += static_cast<size_t>(count);
  }
  return absl::OkStatus();
}

absl::Status RemoteProcess::Step() {
  for (int i = 0; i < kMaxSignalsPerStep; ++i) {
    if (ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr) != 0) {
      return PtraceError("SINGLESTEP", pid_);
    }
    const absl::StatusOr<int> stop = Wait(pid_);
    if (!stop.ok()) return stop.status();
    if (!WIFSTOPPED(*stop)) {
      return absl::FailedPreconditionError(
          absl::StrCat("process ", pid_, " ended while it was prepared (wait status ", *stop, ")"));
    }
    if (WSTOPSIG(*stop) == SIGTRAP) return absl::OkStatus();
    pending_signals_.push_back(WSTOPSIG(*stop));
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("process ", pid_, " got more than ", kMaxSignalsPerStep, " signals"));
}

absl::StatusOr<uint64_t> RemoteProcess::SystemCall(const char* what, int64_t number,
                                                   std::vector<uint64_t> arguments) {
  if (detached_) {
    if (live_call_ != nullptr) return live_call_(what, number, arguments);
    return absl::FailedPreconditionError(
        absl::StrCat(what, " inside process ", pid_, ": it is not stopped any more"));
  }
  const absl::StatusOr<user_regs_struct> saved = GetRegisters(pid_);
  if (!saved.ok()) return saved.status();
  std::array<uint8_t, kSystemCallCode.size()> original;
  absl::Status status = Read(saved->rip, absl::MakeSpan(original));
  if (status.ok()) status = Write(saved->rip, kSystemCallCode);
  user_regs_struct registers = *saved;
  registers.rax = static_cast<uint64_t>(number);
  registers.orig_rax = ~uint64_t{0};  // no restart of an interrupted call
  SetArguments(arguments, registers);
  if (status.ok()) status = SetRegisters(pid_, registers);
  if (status.ok()) status = Step();
  if (!status.ok()) return status;
  const absl::StatusOr<user_regs_struct> after = GetRegisters(pid_);
  if (!after.ok()) return after.status();
  status = Write(saved->rip, original);
  if (status.ok()) status = SetRegisters(pid_, *saved);
  if (!status.ok()) return status;
  const auto result = static_cast<int64_t>(after->rax);
  if (result < 0 && result > -4096) {
    return absl::ErrnoToStatus(static_cast<int>(-result),
                               absl::StrCat(what, " inside process ", pid_));
  }
  return after->rax;
}

absl::Status RemoteProcess::SetGsBase(uint64_t base) {
  absl::StatusOr<user_regs_struct> registers = GetRegisters(pid_);
  if (!registers.ok()) return registers.status();
  registers->gs_base = base;
  return SetRegisters(pid_, *registers);
}

absl::StatusOr<uint64_t> RemoteProcess::GsBase() const {
  const absl::StatusOr<user_regs_struct> registers = GetRegisters(pid_);
  if (!registers.ok()) return registers.status();
  return registers->gs_base;
}

absl::Status RemoteProcess::Detach() {
  if (ptrace(PTRACE_DETACH, pid_, nullptr, nullptr) != 0) {
    return PtraceError("DETACH", pid_);
  }
  detached_ = true;
  for (const int signal : pending_signals_) kill(pid_, signal);
  pending_signals_.clear();
  return absl::OkStatus();
}

}  // namespace flightrec::inject
