#include "services/tracer/host/attachable.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace flightrec::host {
namespace {

constexpr int kYamaDescendants = 1;
constexpr int kYamaAdmins = 2;
constexpr size_t kMaxMapBytes = size_t{16} << 20;

Attachability Refuse(Obstacle obstacle, std::string message) {
  return {obstacle, absl::FailedPreconditionError(message)};
}

Attachability Deny(Obstacle obstacle, std::string message) {
  return {obstacle, absl::PermissionDeniedError(message)};
}

std::string Process(const HostProcess& process) {
  return absl::StrCat("process ", process.Label());
}

// What nothing can change while the process lives.
absl::optional<Attachability> JudgeKind(const AttachFacts& facts) {
  const HostProcess& process = facts.process;
  const std::string name = Process(process);
  if (process.stat.kernel_thread) {
    return Refuse(Obstacle::kKernelThread,
                  absl::StrCat(name,
                               " is a kernel thread: it has no program to hook; for the "
                               "kernel use perf or bpftrace"));
  }
  if (process.ended() && process.status.threads > 1) {
    return Refuse(Obstacle::kEnded,
                  absl::StrCat("the first of the ", process.status.threads, " threads of ", name,
                               " has ended, and with it the kernel's view of the program's "
                               "memory; record such a program from its start: flightrec run"));
  }
  if (process.ended()) {
    return Refuse(
        Obstacle::kEnded,
        absl::StrCat(name, " has ended already and is kept by its parent ", process.status.parent,
                     ", which has not asked for its exit code (a zombie); attach to "
                     "another process"));
  }
  if (process.pid == facts.powers.pid) {
    return Refuse(Obstacle::kItself,
                  absl::StrCat(name,
                               " is this tracer itself: it would wait for itself; attach to "
                               "another process"));
  }
  if (!process.elf.has_value()) return absl::nullopt;
  if (process.elf->is_flightrec_service) {
    return Refuse(Obstacle::kOwnService,
                  absl::StrCat(name, " is a process of flightrec (", process.executable,
                               "): what it records would be about recording; attach to another "
                               "process"));
  }
  if (!process.elf->is_64_bit || process.elf->machine != EM_X86_64) {
    return Refuse(Obstacle::kWrongArchitecture,
                  absl::StrCat(name, " runs a ", MachineName(*process.elf),
                               " program; only 64-bit x86 programs can be hooked: use a 64-bit "
                               "build of it"));
  }
  if (process.elf->is_go) {
    return Refuse(Obstacle::kGoRuntime,
                  absl::StrCat(name,
                               " is a Go program: its stacks move, return addresses "
                               "included, so that hooks would break it; use its own "
                               "profiler (net/http/pprof)"));
  }
  return absl::nullopt;
}

// Somebody else is in the process.
absl::optional<Attachability> JudgeOthers(const AttachFacts& facts) {
  const std::string name = Process(facts.process);
  if (facts.recorded.has_value()) {
    const RecordedBy& recorded = *facts.recorded;
    if (!recorded.recording.empty()) {
      return Refuse(Obstacle::kRecorded,
                    absl::StrCat(name, " is being recorded already as ", recorded.recording,
                                 "; change what is hooked with flightrec probes, or stop that "
                                 "recording first"));
    }
    if (recorded.ended) {
      return Refuse(Obstacle::kRecorded,
                    absl::StrCat(name, " still has the hooks of a recording that has ended (",
                                 recorded.lane_file, "); they go when the process ends"));
    }
    return Refuse(Obstacle::kRecorded,
                  absl::StrCat(name, " is being recorded already by another tracer (",
                               recorded.lane_file, "); stop that recording first"));
  }
  if (facts.tracer.label.empty()) return absl::nullopt;
  return Refuse(Obstacle::kTraced,
                absl::StrCat(name, " is traced already by process ", facts.tracer.label,
                             ", and a process has one tracer at a time; detach there or end that "
                             "process, then attach again"));
}

bool SameUser(const AttachFacts& facts) {
  const ProcStatus& status = facts.process.status;
  const AttachPowers& powers = facts.powers;
  return status.real_uid == powers.uid && status.effective_uid == powers.uid &&
         status.saved_uid == powers.uid && status.real_gid == powers.gid &&
         status.effective_gid == powers.gid && status.saved_gid == powers.gid;
}

constexpr char kGetCapability[] =
    "run the tracer as root or give it the capability (setcap cap_sys_ptrace+ep, --cap-add "
    "SYS_PTRACE in a container)";

Attachability JudgeYama(const AttachFacts& facts) {
  const int scope = facts.powers.yama_scope;
  const std::string cause = absl::StrCat(Process(facts.process),
                                         " may not be traced: "
                                         "kernel.yama.ptrace_scope is ",
                                         scope);
  if (scope == kYamaDescendants) {
    return Deny(Obstacle::kYama,
                absl::StrCat(cause, ", so that only parents may trace; ", kGetCapability,
                             ", or sysctl kernel.yama.ptrace_scope=0"));
  }
  if (scope == kYamaAdmins) {
    return Deny(Obstacle::kYama,
                absl::StrCat(cause, ", so that it takes CAP_SYS_PTRACE; ", kGetCapability));
  }
  return Deny(Obstacle::kYama,
              absl::StrCat(cause,
                           ", so that nobody may attach until the host is started again "
                           "with a lower value (/etc/sysctl.d); flightrec run works"));
}

std::string WhyNotForAdmins(const AttachFacts& facts) {
  constexpr char kModule[] =
      "a security module (AppArmor, SELinux, BPF) forbids it; see the kernel's log and allow "
      "ptrace "
      "in its profile";
  constexpr char kNamespace[] =
      "it is in a user namespace that is not below the tracer's; run the tracer on the host, "
      "outside of containers";
  const std::string& theirs = facts.process.namespaces.user;
  if (theirs.empty()) return absl::StrCat("either ", kModule, ", or ", kNamespace);
  return theirs == facts.powers.user_namespace ? kModule : kNamespace;
}

// The kernel said no; these are its reasons, the ones a user can do something about first.
Attachability JudgePermission(const AttachFacts& facts) {
  const HostProcess& process = facts.process;
  const AttachPowers& powers = facts.powers;
  const std::string name = Process(process);
  if (powers.yama_scope > kYamaAdmins) return JudgeYama(facts);
  if (powers.can_trace_anybody) {
    return Deny(Obstacle::kPermission,
                absl::StrCat(name, " may not be traced although the tracer has CAP_SYS_PTRACE: ",
                             WhyNotForAdmins(facts)));
  }
  if (!SameUser(facts)) {
    return Deny(Obstacle::kOtherUser,
                absl::StrCat(name, " belongs to user ", process.status.effective_uid,
                             ", the tracer runs as user ", powers.uid, " without CAP_SYS_PTRACE; ",
                             kGetCapability, ", or run it as that user"));
  }
  if (!facts.dumpable) {
    return Deny(Obstacle::kNotDumpable,
                absl::StrCat(name,
                             " protects its memory (a setuid program, or "
                             "prctl(PR_SET_DUMPABLE)), so that it takes CAP_SYS_PTRACE; ",
                             kGetCapability));
  }
  if (powers.yama_scope != 0) return JudgeYama(facts);
  return Deny(Obstacle::kPermission,
              absl::StrCat(name,
                           " has capabilities that the tracer lacks, or is in another user "
                           "namespace, or a security module forbids it; ",
                           kGetCapability));
}

// "PID-STARTTICKS.lane", what target::TracedProcess calls its files.
bool IsLaneFile(absl::string_view path) {
  absl::string_view name = path.substr(path.rfind('/') + 1);
  if (!absl::ConsumeSuffix(&name, ".lane")) return false;
  const std::vector<absl::string_view> numbers = absl::StrSplit(name, '-');
  uint64_t number = 0;
  return numbers.size() == 2 && absl::SimpleAtoi(numbers[0], &number) &&
         absl::SimpleAtoi(numbers[1], &number);
}

absl::optional<RecordedBy> FindLane(absl::string_view maps) {
  for (absl::string_view line : absl::StrSplit(maps, '\n')) {
    const size_t slash = line.find('/');
    if (slash == absl::string_view::npos) continue;
    absl::string_view path = line.substr(slash);
    const bool deleted = absl::ConsumeSuffix(&path, " (deleted)");
    if (IsLaneFile(path)) return RecordedBy{"", std::string(path), deleted};
  }
  return absl::nullopt;
}

// Opening the memory of a process takes the same right as PTRACE_ATTACH, security modules
// included, and touches nothing.
bool MayTrace(const ProcDirectory& proc, pid_t pid) {
  const int file = open(proc.PathOf(pid, "mem").c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return errno != EACCES && errno != EPERM;
  close(file);
  return true;
}

bool IsDumpable(const ProcDirectory& proc, const HostProcess& process) {
  struct stat info;
  if (stat(proc.PathOf(process.pid, "mem").c_str(), &info) != 0) return true;
  return info.st_uid == process.status.effective_uid;
}

absl::Status Gone(pid_t pid) {
  return absl::NotFoundError(absl::StrCat(
      "there is no process ", pid,
      " on the tracer's host (in its pid namespace); it may have ended: see flightrec ps"));
}

}  // namespace

absl::string_view ObstacleName(Obstacle obstacle) {
  switch (obstacle) {
    case Obstacle::kNone:
      return "";
    case Obstacle::kItself:
      return "ITSELF";
    case Obstacle::kOwnService:
      return "OWN_SERVICE";
    case Obstacle::kKernelThread:
      return "KERNEL_THREAD";
    case Obstacle::kEnded:
      return "ENDED";
    case Obstacle::kRecorded:
      return "RECORDED";
    case Obstacle::kTraced:
      return "TRACED";
    case Obstacle::kWrongArchitecture:
      return "WRONG_ARCHITECTURE";
    case Obstacle::kGoRuntime:
      return "GO_RUNTIME";
    case Obstacle::kSeccompStrict:
      return "SECCOMP_STRICT";
    case Obstacle::kYama:
      return "YAMA";
    case Obstacle::kNotDumpable:
      return "NOT_DUMPABLE";
    case Obstacle::kOtherUser:
      return "OTHER_USER";
    case Obstacle::kPermission:
      return "PERMISSION";
  }
  return "UNKNOWN";
}

Attachability JudgeAttach(const AttachFacts& facts) {
  if (absl::optional<Attachability> refused = JudgeKind(facts)) return *refused;
  if (absl::optional<Attachability> refused = JudgeOthers(facts)) return *refused;
  if (facts.process.status.seccomp == SeccompMode::kStrict) {
    return Refuse(Obstacle::kSeccompStrict,
                  absl::StrCat(Process(facts.process),
                               " is in seccomp's strict mode: the kernel would kill it for the "
                               "first system call that hooks need; start it with flightrec run"));
  }
  if (!facts.may_trace) return JudgePermission(facts);
  return {Obstacle::kNone, absl::OkStatus()};
}

AttachPowers ReadAttachPowers(const ProcDirectory& proc) {
  AttachPowers powers;
  powers.pid = getpid();
  powers.uid = getuid();
  powers.gid = getgid();
  const absl::StatusOr<std::string> status = proc.Read(powers.pid, "status");
  if (status.ok()) {
    const absl::StatusOr<ProcStatus> own = ParseProcStatus(*status);
    if (own.ok()) powers.can_trace_anybody = own->Has(kCapSysPtrace);
  }
  powers.user_namespace = proc.ReadLink(powers.pid, "ns/user").value_or("");
  const std::string scope = ReadTextFile(proc.PathOf("sys/kernel/yama/ptrace_scope")).value_or("0");
  if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(scope), &powers.yama_scope)) {
    powers.yama_scope = 0;
  }
  return powers;
}

AttachFacts ReadAttachFacts(const ProcDirectory& proc, HostProcess process,
                            const AttachPowers& powers, absl::string_view recording) {
  AttachFacts facts;
  facts.powers = powers;
  const pid_t pid = process.pid;
  if (!process.stat.kernel_thread && !process.ended()) {
    facts.may_trace = MayTrace(proc, pid);
    facts.dumpable = IsDumpable(proc, process);
    facts.recorded = FindLane(proc.Read(pid, "maps", kMaxMapBytes).value_or(""));
  }
  if (!recording.empty()) {
    if (!facts.recorded.has_value()) facts.recorded.emplace();
    facts.recorded->recording = std::string(recording);
  }
  facts.tracer.pid = process.status.tracer;
  if (facts.tracer.pid != 0) {
    const absl::StatusOr<HostProcess> tracer = ReadHostProcess(proc, facts.tracer.pid);
    facts.tracer.label = tracer.ok() ? tracer->Label() : absl::StrCat(facts.tracer.pid);
  }
  facts.process = std::move(process);
  return facts;
}

absl::Status CheckAttachable(pid_t pid, absl::string_view recording, const ProcDirectory& proc) {
  if (pid <= 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("pid ", pid, ": use a positive number; see flightrec ps"));
  }
  absl::StatusOr<HostProcess> process = ReadHostProcess(proc, pid);
  if (absl::IsNotFound(process.status())) return Gone(pid);
  if (!process.ok()) return process.status();
  if (process->status.process != pid) {
    return absl::InvalidArgumentError(
        absl::StrCat(pid, " is a thread of process ", process->status.process, " (",
                     process->status.name, "): attach to ", process->status.process));
  }
  const uint64_t start_ticks = process->stat.start_ticks;
  Attachability answer =
      JudgeAttach(ReadAttachFacts(proc, *std::move(process), ReadAttachPowers(proc), recording));
  // The files above may have been of two processes, or of one that ended.
  const absl::StatusOr<std::string> stat = proc.Read(pid, "stat");
  if (!stat.ok()) return Gone(pid);
  const absl::StatusOr<ProcStat> now = ParseProcStat(*stat);
  if (!now.ok() || now->start_ticks != start_ticks) return Gone(pid);
  return answer.status;
}

}  // namespace flightrec::host
