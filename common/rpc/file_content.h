// Whole small files: certificates, tokens, endpoint files. Stateless
// functions. Not for recorded data.
#ifndef FLIGHTREC_COMMON_RPC_FILE_CONTENT_H_
#define FLIGHTREC_COMMON_RPC_FILE_CONTENT_H_

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace flightrec::rpc {

inline constexpr size_t kMaxFileBytes = 1 << 20;

// NOT_FOUND, PERMISSION_DENIED, RESOURCE_EXHAUSTED (larger than
// kMaxFileBytes) or INTERNAL, naming the path.
absl::StatusOr<std::string> ReadFile(const std::string& path);

// Readers see the old content or the new one, never a part. The file is
// created with `mode` whatever the umask.
absl::Status ReplaceFile(const std::string& path, absl::string_view content, mode_t mode);

}  // namespace flightrec::rpc

#endif  // FLIGHTREC_COMMON_RPC_FILE_CONTENT_H_
