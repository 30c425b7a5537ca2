// Where a program's loader says that it loads and unloads libraries: the r_debug that debuggers
// use, as glibc and musl have it.
//
// For the thread that traces the process, which stands at its entry point.
#ifndef SERVICES_TRACER_TARGET_LOADER_EVENTS_H_
#define SERVICES_TRACER_TARGET_LOADER_EVENTS_H_

#include <cstdint>

#include "absl/types/optional.h"
#include "services/tracer/inject/remote_process.h"
#include "services/tracer/target/proc_files.h"

namespace flightrec::target {

struct LoaderEvents {
  uint64_t function = 0;  // called before and after each change
  uint64_t state = 0;     // address of r_state
};

// nullopt: a static program, or a loader of another kind.
absl::optional<LoaderEvents> FindLoaderEvents(const inject::RemoteProcess& process,
                                              const EntryPoints& entries);

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_LOADER_EVENTS_H_
