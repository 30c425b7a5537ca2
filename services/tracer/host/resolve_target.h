// Which process a user means who does not give its pid: a container by its name or id, a program
// by its name, or CONTAINER/PROGRAM.
//
// Pure function over a listing, thread-safe. The answer holds for the moment of the listing.
#ifndef SERVICES_TRACER_HOST_RESOLVE_TARGET_H_
#define SERVICES_TRACER_HOST_RESOLVE_TARGET_H_

#include <sys/types.h>

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/tracer/host/container_catalog.h"
#include "services/tracer/host/host_process.h"
#include "services/tracer/host/proc_directory.h"

namespace flightrec::host {

// A process beside the names of its container.
struct ListedProcess {
  HostProcess process;
  ContainerNames names;
};

// Digits are a pid and stay one, whether it exists or not. A container means its first process.
// NOT_FOUND: nothing has this name, with what comes near. FAILED_PRECONDITION: several have, with
// their pids. INVALID_ARGUMENT: it is empty, or no pid can be as large.
absl::StatusOr<pid_t> ResolveTarget(absl::string_view target,
                                    const std::vector<ListedProcess>& processes);

// The same for this host as it is now.
absl::StatusOr<pid_t> ResolveTarget(absl::string_view target,
                                    const ProcDirectory& proc = ProcDirectory());

}  // namespace flightrec::host

#endif  // SERVICES_TRACER_HOST_RESOLVE_TARGET_H_
