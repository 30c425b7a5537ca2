// The secret that proves a caller may control processes on this machine: a
// random token in a file only its owner can read. The tracer creates it at
// start and accepts it (Authenticator::AcceptControlToken); the command line
// reads it and sends it as a bearer token. Stateless functions. Does not
// rotate.
#ifndef FLIGHTREC_COMMON_RPC_CONTROL_TOKEN_H_
#define FLIGHTREC_COMMON_RPC_CONTROL_TOKEN_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace flightrec::rpc {

// 32 random bytes, hex.
inline constexpr size_t kControlTokenChars = 64;

// Replaces `path` with a fresh token, mode 0600, and returns it.
absl::StatusOr<std::string> CreateControlToken(const std::string& path);

// PERMISSION_DENIED when the file is not ours or others may read it;
// NOT_FOUND when it is absent.
absl::StatusOr<std::string> ReadControlToken(const std::string& path);

// Takes the same time whatever the first difference is.
bool TokensEqual(absl::string_view a, absl::string_view b);

}  // namespace flightrec::rpc

#endif  // FLIGHTREC_COMMON_RPC_CONTROL_TOKEN_H_
