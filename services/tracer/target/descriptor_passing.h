// Gives a process a file that it could not open itself, because it sees other mounts: a pair of
// sockets is made inside it, one end is taken out and the descriptor sent through it.
//
// For the thread that traces the process.
#ifndef SERVICES_TRACER_TARGET_DESCRIPTOR_PASSING_H_
#define SERVICES_TRACER_TARGET_DESCRIPTOR_PASSING_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/statusor.h"
#include "services/tracer/inject/remote_process.h"

namespace flightrec::target {

inline constexpr size_t kPassScratchBytes = 256;

// Returns the number of `file` inside the process. `scratch` is the address of kPassScratchBytes of
// its memory, which are written over. Nothing else stays open there, also after an error.
absl::StatusOr<uint64_t> PassDescriptor(inject::RemoteProcess& process, int file, uint64_t scratch);

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_DESCRIPTOR_PASSING_H_
