// The flags every flightrec server has, declared once: --listen,
// --metrics_listen, --metrics_allow_remote, --tls_cert, --tls_key,
// --tls_client_ca, --token_file, --max_message_bytes,
// --max_concurrent_streams, --drain_deadline, --log_level. Only a `main` links
// this.
#ifndef FLIGHTREC_COMMON_RPC_SERVER_FLAGS_H_
#define FLIGHTREC_COMMON_RPC_SERVER_FLAGS_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/log/logger.h"
#include "common/rpc/channel.h"
#include "common/rpc/server_config.h"

namespace flightrec::rpc {

// In place of absl::ParseCommandLine: --help shows `usage` with the flags of the
// main and those above. Ends the process on a wrong flag or a word that is no
// flag.
void ParseServerFlags(int argc, char** argv, absl::string_view usage);

// Empty --listen and --metrics_listen become loopback on the given ports;
// --metrics_listen=off means no metrics server.
ServerConfig ServerConfigFromFlags(int default_port, int default_metrics_port);

// How this process reaches its peers: --peer_tls_ca, --peer_tls_cert,
// --peer_tls_key, --peer_token_file.
ChannelConfig PeerChannelConfigFromFlags();

// --log_level=debug|info|warning|error.
absl::StatusOr<log::Level> LogLevelFromFlags();

}  // namespace flightrec::rpc

#endif  // FLIGHTREC_COMMON_RPC_SERVER_FLAGS_H_
