// Whether a running process can be hooked, and if not, why and what to do about it.
//
// Reads /proc only: the process is neither stopped nor changed, and nobody is told. What can be
// known only inside the process (room for stubs, what a seccomp filter allows) is not looked at.
// Thread-safe. The answer holds for the moment it is given.
#ifndef SERVICES_TRACER_HOST_ATTACHABLE_H_
#define SERVICES_TRACER_HOST_ATTACHABLE_H_

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "services/tracer/host/host_process.h"
#include "services/tracer/host/proc_directory.h"

namespace flightrec::host {

// The names are part of what users see and filter by: they are never renamed, only added to.
enum class Obstacle : uint8_t {
  kNone,
  kItself,             // this tracer
  kOwnService,         // another process of flightrec
  kKernelThread,       //
  kEnded,              // a zombie
  kRecorded,           // hooks of flightrec are in it
  kTraced,             // a debugger or tracer has it
  kWrongArchitecture,  // not 64-bit x86
  kGoRuntime,          // stacks move
  kSeccompStrict,      // may only read, write and exit
  kYama,               // ptrace_scope
  kNotDumpable,        // setuid, or it asked for it
  kOtherUser,          //
  kPermission,         // a security module, or a user namespace
};

// "KERNEL_THREAD"; empty for kNone.
absl::string_view ObstacleName(Obstacle obstacle);

struct TracedBy {
  pid_t pid = 0;      // 0: somebody in a pid namespace that is not seen from here
  std::string label;  // "1234 (gdb)"
};

struct RecordedBy {
  // The recording's resource name where this tracer makes it.
  std::string recording;
  // Its lane file as the process has it mapped.
  std::string lane_file;
  // The file is gone: the recording has ended, its hooks are still there.
  bool ended = false;
};

// Who asks, and what this host allows.
struct AttachPowers {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  bool can_trace_anybody = false;  // CAP_SYS_PTRACE
  std::string user_namespace;
  int yama_scope = 0;
};

struct AttachFacts {
  HostProcess process;
  TracedBy tracer;  // pid and label unset: nobody
  absl::optional<RecordedBy> recorded;
  // The kernel's own answer.
  bool may_trace = true;
  // prctl(PR_SET_DUMPABLE) or setuid: /proc belongs to root.
  bool dumpable = true;
  AttachPowers powers;
};

struct Attachability {
  Obstacle obstacle = Obstacle::kNone;
  // OK, FAILED_PRECONDITION or PERMISSION_DENIED, with cause and remedy.
  absl::Status status;
};

Attachability JudgeAttach(const AttachFacts& facts);

AttachPowers ReadAttachPowers(const ProcDirectory& proc);

// `recording`: the resource name of the recording of this tracer that has the process; empty: none.
AttachFacts ReadAttachFacts(const ProcDirectory& proc, HostProcess process,
                            const AttachPowers& powers, absl::string_view recording);

// The whole question about one process. Besides the statuses of JudgeAttach: NOT_FOUND: there is
// no such process, or it ended meanwhile. INVALID_ARGUMENT: a number that no process can have, or
// a thread's, with the process it belongs to.
absl::Status CheckAttachable(pid_t pid, absl::string_view recording = "",
                             const ProcDirectory& proc = ProcDirectory());

}  // namespace flightrec::host

#endif  // SERVICES_TRACER_HOST_ATTACHABLE_H_
