// Whether seccomp filters of a process let hooks be put in and work: the system calls that the
// tracer makes inside it and those of the agent in its threads.
//
// For the thread that traces the process. Changes nothing in it.
#ifndef SERVICES_TRACER_TARGET_SECCOMP_CHECK_H_
#define SERVICES_TRACER_TARGET_SECCOMP_CHECK_H_

#include <sys/types.h>

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "services/tracer/target/seccomp_filter.h"
#include "services/tracer/target/thread_control.h"

namespace flightrec::target {

// A thread of the process has filters, and not those of the container that this process runs in
// too: these let the tracer's calls through, and from inside they cannot be read.
bool HasOwnFilters(pid_t pid);

// FAILED_PRECONDITION names the call that a filter forbids. `instruction`: the SYSCALL that is used
// inside.
absl::Status CheckFilters(absl::Span<const SeccompProgram> filters, pid_t tid,
                          uint64_t instruction);

// The same for one stopped thread, which may have got filters since it was looked at. Statuses of
// ReadFilters too.
absl::Status CheckThread(pid_t pid, pid_t tid, uint64_t instruction);

// The same for all threads, which are stopped. Statuses of ReadFilters too.
absl::Status CheckThreadFilters(const ThreadControl& threads, uint64_t instruction);

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_SECCOMP_CHECK_H_
