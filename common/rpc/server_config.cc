#include "common/rpc/server_config.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/rpc/file_content.h"
#include "common/rpc/listen_address.h"

namespace flightrec::rpc {
namespace {

absl::Status CheckRange(absl::string_view flag, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, "=", value, " is outside ", low, "..", high));
}

absl::Status CheckLimits(const ServerConfig& config) {
  if (absl::Status s = CheckRange("max_message_bytes", config.max_message_bytes,
                                  kMinMaxMessageBytes, kMaxMaxMessageBytes);
      !s.ok()) {
    return s;
  }
  if (absl::Status s =
          CheckRange("max_concurrent_streams", config.max_concurrent_streams, 1, 1 << 20);
      !s.ok()) {
    return s;
  }
  return CheckRange("drain_deadline (seconds)", absl::ToInt64Seconds(config.drain_deadline), 0,
                    3600);
}

absl::StatusOr<TlsMaterial> ReadTls(const ServerConfig& config) {
  TlsMaterial tls;
  if (config.tls_cert.empty() != config.tls_key.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("--tls_cert='", config.tls_cert,
                                                   "' and --tls_key='", config.tls_key,
                                                   "' go together; give both or none"));
  }
  if (config.tls_cert.empty() && !config.tls_client_ca.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--tls_client_ca=", config.tls_client_ca, " needs TLS; give --tls_cert and --tls_key too"));
  }
  const std::pair<const std::string*, std::string*> files[] = {
      {&config.tls_cert, &tls.cert_pem},
      {&config.tls_key, &tls.key_pem},
      {&config.tls_client_ca, &tls.client_ca_pem}};
  for (const auto& [path, content] : files) {
    if (path->empty()) continue;
    absl::StatusOr<std::string> read = ReadFile(*path);
    if (!read.ok()) return read.status();
    *content = *std::move(read);
  }
  return tls;
}

absl::Status CheckReach(const ServerConfig& config, const ListenAddress& address, bool has_tokens) {
  if (address.is_local()) return absl::OkStatus();
  const bool proven = has_tokens || !config.tls_client_ca.empty();
  if (!config.tls_cert.empty() && proven) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--listen=", config.listen, " is reachable from other machines and has ",
                   proven ? "no encryption" : "no authentication",
                   "; give --tls_cert and --tls_key with --token_file or --tls_client_ca, "
                   "or listen on 127.0.0.1"));
}

absl::Status CheckMetrics(const ServerConfig& config) {
  if (config.metrics_listen.empty()) return absl::OkStatus();
  absl::StatusOr<ListenAddress> address =
      ParseListenAddress(config.metrics_listen, "metrics_listen");
  if (!address.ok()) return address.status();
  if (address->is_unix()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--metrics_listen=", config.metrics_listen,
                     ": metrics are served over TCP; write HOST:PORT"));
  }
  if (address->is_local() || config.metrics_allow_remote) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--metrics_listen=", config.metrics_listen,
                   " is reachable from other machines and metrics have no authentication; "
                   "add --metrics_allow_remote or listen on 127.0.0.1"));
}

}  // namespace

absl::StatusOr<FinalizedServerConfig> Finalize(const ServerConfig& config) {
  if (absl::Status s = CheckLimits(config); !s.ok()) return s;
  absl::StatusOr<ListenAddress> address = ParseListenAddress(config.listen, "listen");
  if (!address.ok()) return address.status();
  if (absl::Status s = CheckMetrics(config); !s.ok()) return s;

  FinalizedServerConfig result;
  if (!config.token_file.empty()) {
    absl::StatusOr<std::string> text = ReadFile(config.token_file);
    if (!text.ok()) return text.status();
    absl::StatusOr<std::vector<TokenEntry>> tokens = ParseTokens(*text, config.token_file);
    if (!tokens.ok()) return tokens.status();
    result.tokens_ = *std::move(tokens);
  }
  if (absl::Status s = CheckReach(config, *address, !result.tokens_.empty()); !s.ok()) {
    return s;
  }
  absl::StatusOr<TlsMaterial> tls = ReadTls(config);
  if (!tls.ok()) return tls.status();
  result.tls_ = *std::move(tls);
  result.config_ = config;
  result.config_.listen = address->ToString();
  result.is_unix_ = address->is_unix();
  return result;
}

}  // namespace flightrec::rpc
