// Patches a library that is loaded into this very process, for tests: each site
// gets a jump to its relocated prologue, which continues in the original
// function, so that the program must behave as before. Not thread-safe, never
// undone.

#ifndef SERVICES_TRACER_PATCH_PATCHED_PROCESS_H_
#define SERVICES_TRACER_PATCH_PATCHED_PROCESS_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"

namespace flightrec::patch {

// `name` is the start of the library's file name. Returns the number of patched
// functions. NOT_FOUND when no such library is loaded.
absl::StatusOr<size_t> PatchLoadedLibrary(const std::string& name);

}  // namespace flightrec::patch

#endif  // SERVICES_TRACER_PATCH_PATCHED_PROCESS_H_
