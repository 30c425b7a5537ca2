// A directory that only its owner can enter: stores, lanes and tokens live in such ones. Stateless;
// thread-safe. Does not guard against another process of the same user.
#ifndef COMMON_PRIVATE_DIRECTORY_PRIVATE_DIRECTORY_H_
#define COMMON_PRIVATE_DIRECTORY_PRIVATE_DIRECTORY_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace flightrec {

// Makes `path` and its parents where they are missing and closes it to others. `flag` names the
// path in errors. INVALID_ARGUMENT: it is open to others and has files in it, none of them called
// `own_file` (for example /tmp); it is left as it is. FAILED_PRECONDITION: it belongs to another
// user or cannot be made.
absl::Status MakePrivateDirectory(const std::string& path, absl::string_view flag,
                                  absl::string_view own_file);

}  // namespace flightrec

#endif  // COMMON_PRIVATE_DIRECTORY_PRIVATE_DIRECTORY_H_
