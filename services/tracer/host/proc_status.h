// What /proc/PID/status and /proc/PID/stat say of a process.
//
// Pure functions, thread-safe. Lines that a kernel does not have leave their field as it is here.
#ifndef SERVICES_TRACER_HOST_PROC_STATUS_H_
#define SERVICES_TRACER_HOST_PROC_STATUS_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace flightrec::host {

inline constexpr int kCapSysPtrace = 19;  // bits of `capabilities`
inline constexpr int kCapSysAdmin = 21;

enum class SeccompMode : uint8_t { kNone = 0, kStrict = 1, kFilter = 2 };

struct ProcStatus {
  std::string name;   // the kernel's, at most 15 bytes
  char state = '?';   // as ps(1) shows it
  pid_t process = 0;  // the first thread of the process that this thread belongs to
  pid_t parent = 0;
  pid_t tracer = 0;  // 0: none
  uid_t real_uid = 0;
  uid_t effective_uid = 0;
  uid_t saved_uid = 0;
  gid_t real_gid = 0;
  gid_t effective_gid = 0;
  gid_t saved_gid = 0;
  uint32_t threads = 0;
  // In each pid namespace that has it, the reader's first, its own last.
  std::vector<pid_t> namespace_pids;
  SeccompMode seccomp = SeccompMode::kNone;
  bool no_new_privileges = false;
  uint64_t capabilities = 0;  // effective

  bool Has(int capability) const { return (capabilities >> capability & 1) != 0; }
};

// INVALID_ARGUMENT: it is no such text.
absl::StatusOr<ProcStatus> ParseProcStatus(absl::string_view text);

struct ProcStat {
  bool kernel_thread = false;
  uint64_t start_ticks = 0;  // since boot, clock ticks
};
absl::StatusOr<ProcStat> ParseProcStat(absl::string_view text);

}  // namespace flightrec::host

#endif  // SERVICES_TRACER_HOST_PROC_STATUS_H_
