// Parses what --listen and --metrics_listen take. Values, no threads. Does not
// resolve names: a server is bound to a numeric address, so that what it is
// open to can be read off the flag.
#ifndef FLIGHTREC_COMMON_RPC_LISTEN_ADDRESS_H_
#define FLIGHTREC_COMMON_RPC_LISTEN_ADDRESS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace flightrec::rpc {

struct ListenAddress {
  // Set for "unix:/path"; host and port are then empty.
  std::string unix_path{};
  // Numeric, without brackets.
  std::string host{};
  int port = 0;

  bool is_unix() const { return !unix_path.empty(); }
  // Only processes of this machine can reach it.
  bool is_local() const;
  // As gRPC takes it: "127.0.0.1:7073", "[::1]:7073", "unix:/path".
  std::string ToString() const;
};

// "localhost" is 127.0.0.1. INVALID_ARGUMENT names `flag` and the value.
absl::StatusOr<ListenAddress> ParseListenAddress(absl::string_view text, absl::string_view flag);

}  // namespace flightrec::rpc

#endif  // FLIGHTREC_COMMON_RPC_LISTEN_ADDRESS_H_
