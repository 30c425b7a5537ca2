// One process of this host as /proc shows it: what it runs, whose it is, which container it is in.
//
// A value; reading is thread-safe and changes nothing. What the reader may not see stays empty.
#ifndef SERVICES_TRACER_HOST_HOST_PROCESS_H_
#define SERVICES_TRACER_HOST_HOST_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "services/tracer/host/cgroup_container.h"
#include "services/tracer/host/elf_kind.h"
#include "services/tracer/host/proc_directory.h"
#include "services/tracer/host/proc_status.h"

namespace flightrec::host {

// Arguments beyond this are not read.
inline constexpr size_t kMaxCommandBytes = 16384;

// "mnt:[4026531841]"; empty where it may not be seen.
struct Namespaces {
  std::string mount;
  std::string pid;
  std::string network;
  std::string user;
};

struct HostProcess {
  pid_t pid = 0;
  ProcStatus status;
  ProcStat stat;
  // Empty for kernel threads and zombies.
  std::vector<std::string> command;
  // As the process sees it, in its own mount namespace; empty if it may not be seen.
  std::string executable;
  bool executable_deleted = false;
  absl::optional<ElfKind> elf;
  CgroupContainer container;
  Namespaces namespaces;

  bool ended() const { return status.state == 'Z' || status.state == 'X'; }
  // The last part of the program's path, else the kernel's name for it.
  std::string ShortName() const;
  // "1234 (nginx)".
  std::string Label() const;
};

// NOT_FOUND: there is none, or it ended meanwhile.
absl::StatusOr<HostProcess> ReadHostProcess(const ProcDirectory& proc, pid_t pid);

// All of them that can be read, sorted by pid.
absl::StatusOr<std::vector<HostProcess>> ListHostProcesses(const ProcDirectory& proc);

// The value of a variable in the environment that the process was started with; empty if there is
// none or it may not be seen.
std::string ReadEnvironmentVariable(const ProcDirectory& proc, pid_t pid, absl::string_view name);

}  // namespace flightrec::host

#endif  // SERVICES_TRACER_HOST_HOST_PROCESS_H_
