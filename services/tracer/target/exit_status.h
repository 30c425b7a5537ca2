// How a process ended that is not a child of this one, as far as the kernel tells.
//
// Stateless, thread-safe; reaps nothing.
#ifndef SERVICES_TRACER_TARGET_EXIT_STATUS_H_
#define SERVICES_TRACER_TARGET_EXIT_STATUS_H_

#include <sys/types.h>

#include "absl/types/optional.h"

namespace flightrec::target {

// A wait status. `pidfd` of the process was opened while it ran; -1: there is none. nullopt: it
// runs, its parent has taken the status and the kernel is older than 6.15, or this process may not
// see it.
absl::optional<int> ReadExitStatus(pid_t pid, int pidfd);

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_EXIT_STATUS_H_
