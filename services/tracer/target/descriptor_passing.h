// Gives a process a file that it could not open itself, because it sees other mounts: a pair of
// sockets is made inside it, one end is taken out and the descriptor sent through it.
//
// For the thread that traces the process.
#ifndef SERVICES_TRACER_TARGET_DESCRIPTOR_PASSING_H_
#define SERVICES_TRACER_TARGET_DESCRIPTOR_PASSING_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/tracer/inject/remote_process.h"

namespace flightrec::target {

inline constexpr size_t kPassScratchBytes = 256;

struct PassedDescriptor {
  uint64_t number = 0;
  std::string file;  // FileBehind it
};

// What a descriptor of the process leads to, as /proc/PID/fd has it; empty: nothing.
std::string FileBehind(pid_t pid, int64_t descriptor);

// `scratch` is the address of kPassScratchBytes of the process's memory, which are written over.
// Nothing else stays open there, also after an error.
absl::StatusOr<PassedDescriptor> PassDescriptor(inject::RemoteProcess& process, int file,
                                                uint64_t scratch);

// Unless the program has closed it itself.
absl::Status ClosePassed(inject::RemoteProcess& process, const PassedDescriptor& passed);

// What a tracer that was killed meanwhile has left open: sockets of its `scratch`, if that is still
// mapped, and files whose path ends with `name`.
absl::Status CloseLeftDescriptors(inject::RemoteProcess& process, uint64_t scratch,
                                  absl::string_view name);

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_DESCRIPTOR_PASSING_H_
