// What one gRPC server needs to know before it starts: addresses, credentials
// and limits. `ServerConfig` is filled in `main` (see server_flags.h) or by a
// test; `Finalize` reads the named files and checks the whole, so that a
// `FinalizedServerConfig` can always be served. Values, no threads. Does not
// bind anything.
#ifndef FLIGHTREC_COMMON_RPC_SERVER_CONFIG_H_
#define FLIGHTREC_COMMON_RPC_SERVER_CONFIG_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/token_file.h"

namespace flightrec::rpc {

// A chunk frame is at most 1 MiB; the rest is room for the envelope.
inline constexpr int kDefaultMaxMessageBytes = 4 << 20;
inline constexpr int kMinMaxMessageBytes = 64 << 10;
inline constexpr int kMaxMaxMessageBytes = 64 << 20;
inline constexpr int kDefaultMaxConcurrentStreams = 1000;
inline constexpr absl::Duration kDefaultDrainDeadline = absl::Seconds(10);

struct ServerConfig {
  // "host:port" (port 0: any free port) or "unix:/path".
  std::string listen = "127.0.0.1:0";
  // "host:port"; empty: no metrics server.
  std::string metrics_listen{};
  // The metrics server has no authentication of its own; beyond loopback it
  // must be asked for.
  bool metrics_allow_remote = false;

  // PEM files. The first two go together; the third asks clients for a
  // certificate signed by it.
  std::string tls_cert{};
  std::string tls_key{};
  std::string tls_client_ca{};
  // See token_file.h. Empty: no tokens.
  std::string token_file{};

  int max_message_bytes = kDefaultMaxMessageBytes;
  // Per connection.
  int max_concurrent_streams = kDefaultMaxConcurrentStreams;
  absl::Duration keepalive_time = absl::Seconds(60);
  absl::Duration keepalive_timeout = absl::Seconds(20);
  absl::Duration drain_deadline = kDefaultDrainDeadline;
};

struct TlsMaterial {
  std::string cert_pem;
  std::string key_pem;
  // Empty: clients need no certificate.
  std::string client_ca_pem;
};

class FinalizedServerConfig {
 public:
  const ServerConfig& config() const { return config_; }
  bool is_unix() const { return is_unix_; }
  bool has_tls() const { return !tls_.cert_pem.empty(); }
  const TlsMaterial& tls() const { return tls_; }
  // Empty without --token_file.
  const std::vector<TokenEntry>& tokens() const { return tokens_; }

 private:
  friend absl::StatusOr<FinalizedServerConfig> Finalize(const ServerConfig& config);
  FinalizedServerConfig() = default;

  ServerConfig config_;
  bool is_unix_ = false;
  TlsMaterial tls_;
  std::vector<TokenEntry> tokens_;
};

// INVALID_ARGUMENT names the flag, its value and what to do. Addresses beyond
// loopback are refused without TLS and one of tokens or client certificates.
absl::StatusOr<FinalizedServerConfig> Finalize(const ServerConfig& config);

}  // namespace flightrec::rpc

#endif  // FLIGHTREC_COMMON_RPC_SERVER_CONFIG_H_
