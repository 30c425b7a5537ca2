// Which file a command line means, and whether it can be traced.
//
// Thread-safe: pure functions over the file system. Starts nothing.
#ifndef SERVICES_TRACER_TARGET_PROGRAM_H_
#define SERVICES_TRACER_TARGET_PROGRAM_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace flightrec::target {

// The file `name` means for execvp with this working directory (empty: the
// caller's) and environment. NOT_FOUND; PERMISSION_DENIED: not executable, or
// it would lose the rights that its file gives it; INVALID_ARGUMENT: a folder,
// or a script, with the command that traces its interpreter.
absl::StatusOr<std::string> ResolveProgram(absl::string_view name, absl::string_view cwd,
                                           const std::vector<std::string>& env);

// The environment of this process, "NAME=value" each.
std::vector<std::string> OwnEnvironment();

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_PROGRAM_H_
