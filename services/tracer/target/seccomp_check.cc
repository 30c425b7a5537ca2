#include "services/tracer/target/seccomp_check.h"

#include <linux/audit.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "services/tracer/target/proc_files.h"

namespace flightrec::target {
namespace {

constexpr uint64_t kAnonymous = MAP_PRIVATE | MAP_ANONYMOUS;
constexpr uint64_t kSomeBytes = 1 << 20;
constexpr uint64_t kSomePlace = 0x7f0000000000;
constexpr uint64_t kSomeFile = 100;
constexpr uint64_t kNoFile = ~uint64_t{0};
constexpr uint64_t kWipeOnFork = 18;     // MADV_WIPEONFORK
constexpr uint64_t kPopulateWrite = 23;  // MADV_POPULATE_WRITE
constexpr uint64_t kDontDump = 16;       // MADV_DONTDUMP

struct NeededCall {
  const char* name;
  int number;
  std::array<uint64_t, 6> arguments;
  // The agent can do without: an error is enough, as long as it does not end the thread.
  bool may_fail = false;
};

// What target/process_memory, target/descriptor_passing and the agent ask for.
const std::vector<NeededCall>& NeededCalls() {
  static const auto* const calls = new std::vector<NeededCall>{
      {"mmap of memory", SYS_mmap, {0, kSomeBytes, PROT_READ | PROT_WRITE, kAnonymous, kNoFile, 0}},
      {"mmap of code", SYS_mmap, {0, kSomeBytes, PROT_READ | PROT_EXEC, kAnonymous, kNoFile, 0}},
      {"mmap of code near a module",
       SYS_mmap,
       {kSomePlace, kSomeBytes, PROT_READ | PROT_EXEC, kAnonymous | MAP_FIXED_NOREPLACE, kNoFile,
        0}},
      {"mmap of a shared file",
       SYS_mmap,
       {kSomePlace, kSomeBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, kSomeFile, 0}},
      {"munmap", SYS_munmap, {kSomePlace, kSomeBytes}},
      {"madvise", SYS_madvise, {kSomePlace, kSomeBytes, kDontDump}},
      {"madvise", SYS_madvise, {kSomePlace, kSomeBytes, kWipeOnFork}},
      {"madvise", SYS_madvise, {kSomePlace, kSomeBytes, kPopulateWrite}},
      {"madvise", SYS_madvise, {kSomePlace, kSomeBytes, MADV_NOHUGEPAGE}, true},
      {"socketpair", SYS_socketpair, {AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, kSomePlace}},
      {"recvmsg", SYS_recvmsg, {kSomeFile, kSomePlace, MSG_CMSG_CLOEXEC | MSG_DONTWAIT}},
      {"close", SYS_close, {kSomeFile}},
      {"gettid", SYS_gettid, {}},
      {"futex", SYS_futex, {kSomePlace, 9, 0, kSomePlace, 0, 0xFFFFFFFF}},
      {"futex", SYS_futex, {kSomePlace, 1, 0x7FFFFFFF}},
      {"clock_gettime", SYS_clock_gettime, {1, kSomePlace}},
      {"sigaltstack", SYS_sigaltstack, {0, kSomePlace}, true},
      {"process_vm_readv", SYS_process_vm_readv, {1, kSomePlace, 1, kSomePlace, 1}, true},
  };
  return *calls;
}

bool OnlyFails(absl::Span<const SeccompProgram> filters, const seccomp_data& call) {
  for (const SeccompProgram& filter : filters) {
    const uint32_t action = Evaluate(filter, call) & SECCOMP_RET_ACTION_FULL;
    if (action != SECCOMP_RET_ALLOW && action != SECCOMP_RET_LOG && action != SECCOMP_RET_ERRNO)
      return false;
  }
  return true;
}

uint32_t FiltersOf(pid_t pid, pid_t tid) {
  const absl::StatusOr<ThreadStatus> status = ReadThreadStatus(pid, tid);
  return status.ok() ? status->seccomp_filters : 0;
}

// Empty if it cannot be read.
std::string ContainerOf(pid_t pid) {
  const std::string folder = absl::StrCat("/proc/", pid);
  std::error_code error;
  const std::filesystem::path mounts = std::filesystem::read_symlink(folder + "/ns/mnt", error);
  std::ifstream file(folder + "/cgroup");
  const std::string groups{std::istreambuf_iterator<char>(file), {}};
  return error || groups.empty() ? "" : absl::StrCat(mounts.string(), "\n", groups);
}

// As many filters as this process has are the same ones only if both got them from the container
// or service that they run in: this process sets none.
bool AreOfContainer(pid_t pid, uint32_t filters) {
  if (filters != FiltersOf(getpid(), getpid())) return false;
  const std::string container = ContainerOf(pid);
  return !container.empty() && container == ContainerOf(getpid());
}

}  // namespace

bool HasOwnFilters(pid_t pid) {
  const absl::StatusOr<std::vector<pid_t>> threads = ListThreads(pid);
  if (!threads.ok()) return false;
  for (const pid_t tid : *threads) {
    const uint32_t filters = FiltersOf(pid, tid);
    if (filters > 0 && !AreOfContainer(pid, filters)) return true;
  }
  return false;
}

absl::Status CheckFilters(absl::Span<const SeccompProgram> filters, pid_t tid,
                          uint64_t instruction) {
  for (const NeededCall& needed : NeededCalls()) {
    seccomp_data call = {};
    call.nr = needed.number;
    call.arch = AUDIT_ARCH_X86_64;
    call.instruction_pointer = instruction + 2;
    for (size_t i = 0; i < needed.arguments.size(); ++i) call.args[i] = needed.arguments[i];
    if (Allows(filters, call) || (needed.may_fail && OnlyFails(filters, call))) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("a seccomp filter of thread ", tid, " does not allow ", needed.name,
                     ", which hooks need; allow it in the program's seccomp profile"));
  }
  return absl::OkStatus();
}

absl::Status CheckThread(pid_t pid, pid_t tid, uint64_t instruction) {
  const uint32_t count = FiltersOf(pid, tid);
  if (count == 0 || AreOfContainer(pid, count)) return absl::OkStatus();
  const absl::StatusOr<std::vector<SeccompProgram>> filters = ReadFilters(tid);
  return filters.ok() ? CheckFilters(*filters, tid, instruction) : filters.status();
}

absl::Status CheckThreadFilters(const ThreadControl& threads, uint64_t instruction) {
  for (const pid_t tid : threads.stopped()) {
    const absl::StatusOr<std::vector<SeccompProgram>> filters = ReadFilters(tid);
    if (!filters.ok()) return filters.status();
    const absl::Status allowed = CheckFilters(*filters, tid, instruction);
    if (!allowed.ok()) return allowed;
  }
  return absl::OkStatus();
}

}  // namespace flightrec::target
