// How a flightrec process dials another one. Without TLS the peer must be on
// this machine (loopback or unix socket): the connection is refused otherwise,
// so a token never crosses a network in the clear. Channels are thread-safe.
// No retries: callers decide.
#ifndef FLIGHTREC_COMMON_RPC_CHANNEL_H_
#define FLIGHTREC_COMMON_RPC_CHANNEL_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/server_config.h"

namespace flightrec::rpc {

struct ChannelConfig {
  // PEM files; tls_ca turns TLS on, the other two add a client certificate.
  std::string tls_ca{};
  std::string tls_cert{};
  std::string tls_key{};
  // A file whose first word is the token (a control token file, or a line of
  // a server's token file). Read once, by MakeChannel.
  std::string token_file{};
  // Wins over token_file.
  std::string token{};
  int max_message_bytes = kDefaultMaxMessageBytes;
};

// `target`: "host:port" or "unix:/path". Does not connect yet.
// INVALID_ARGUMENT or NOT_FOUND names the file that cannot be used.
absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const std::string& target,
                                                           const ChannelConfig& config);

// Every call has a deadline; this sets it.
void SetDeadline(grpc::ClientContext& context, absl::Duration timeout);

// Blocks until `channel` is connected. UNAVAILABLE names `target`.
absl::Status WaitForConnection(grpc::Channel& channel, absl::string_view target,
                               absl::Duration timeout);

}  // namespace flightrec::rpc

#endif  // FLIGHTREC_COMMON_RPC_CHANNEL_H_
