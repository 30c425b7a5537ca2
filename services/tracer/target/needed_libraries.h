// Which shared libraries the dynamic loader would map for a program, found by
// its rules without running anything: DT_RPATH and DT_RUNPATH with $ORIGIN,
// LD_PRELOAD and LD_LIBRARY_PATH, the loader's cache, the system's folders; for
// musl its own folders.
// Variants of a library for some processors only are not considered. Stateless,
// thread-safe.

#ifndef SERVICES_TRACER_TARGET_NEEDED_LIBRARIES_H_
#define SERVICES_TRACER_TARGET_NEEDED_LIBRARIES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace flightrec::target {

inline constexpr char kLoaderCache[] = "/etc/ld.so.cache";

struct NeededLibraries {
  // Real paths, as /proc/PID/maps has them; the dynamic loader last. Each once.
  std::vector<std::string> paths;
  // "libx.so.1, needed by /usr/bin/y"
  std::vector<std::string> missing;
};

// Statuses as of symbols::ReadModule, for the program itself. A static program
// needs nothing. `env`: "NAME=value", of the program.
absl::StatusOr<NeededLibraries> FindNeededLibraries(const std::string& program,
                                                    const std::vector<std::string>& env,
                                                    const std::string& cache_path = kLoaderCache);

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_NEEDED_LIBRARIES_H_
