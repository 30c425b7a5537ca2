// Finds code in a running program with which its threads can make system calls for the tracer
// before anything of the tracer is in it.
//
// Stateless function for the thread that traces the process.
#ifndef SERVICES_TRACER_TARGET_CALL_SITE_H_
#define SERVICES_TRACER_TARGET_CALL_SITE_H_

#include <string>

#include "absl/status/statusor.h"
#include "services/tracer/inject/remote_process.h"
#include "services/tracer/target/thread_control.h"

namespace flightrec::target {

// Preferably with a restorer: C libraries have one, and so has a static program that handles
// signals. FAILED_PRECONDITION: no SYSCALL instruction.
// Only in code that stays as long as the program does: the kernel's, the C library's, the loader's
// and that of `program`, the main executable's path as /proc/PID/maps has it.
absl::StatusOr<CallSite> FindCallSite(const inject::RemoteProcess& process,
                                      const std::string& program);

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_CALL_SITE_H_
