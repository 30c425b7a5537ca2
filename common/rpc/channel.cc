#include "common/rpc/channel.h"

#include <grpcpp/security/credentials.h>

#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/rpc/file_content.h"

namespace flightrec::rpc {
namespace {

constexpr int kMinReconnectMs = 100;
constexpr int kMaxReconnectMs = 2000;

class BearerToken : public grpc::MetadataCredentialsPlugin {
 public:
  explicit BearerToken(const std::string& token) : header_(absl::StrCat("Bearer ", token)) {}

  bool IsBlocking() const override { return false; }
  const char* GetType() const override { return "bearer"; }
  grpc::Status GetMetadata(grpc::string_ref /*service_url*/, grpc::string_ref /*method_name*/,
                           const grpc::AuthContext& /*context*/,
                           std::multimap<grpc::string, grpc::string>* metadata) override {
    metadata->insert({"authorization", header_});
    return grpc::Status::OK;
  }

 private:
  const std::string header_;
};

absl::Status ReadInto(const std::string& path, std::string& content) {
  if (path.empty()) return absl::OkStatus();
  absl::StatusOr<std::string> read = ReadFile(path);
  if (!read.ok()) return read.status();
  content = *std::move(read);
  return absl::OkStatus();
}

absl::StatusOr<std::string> Token(const ChannelConfig& config) {
  if (!config.token.empty() || config.token_file.empty()) return config.token;
  std::string text;
  if (absl::Status s = ReadInto(config.token_file, text); !s.ok()) return s;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (absl::StartsWith(line, "#")) continue;
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
    if (!words.empty()) return std::string(words[0]);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("token file ", config.token_file, " holds no token"));
}

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> TransportCredentials(
    const std::string& target, const ChannelConfig& config) {
  if (config.tls_ca.empty()) {
    if (!config.tls_cert.empty() || !config.tls_key.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("a client certificate (", config.tls_cert,
                                                     ") needs the server's CA; give tls_ca too"));
    }
    return grpc::experimental::LocalCredentials(absl::StartsWith(target, "unix:") ? UDS
                                                                                  : LOCAL_TCP);
  }
  grpc::SslCredentialsOptions options;
  if (absl::Status s = ReadInto(config.tls_ca, options.pem_root_certs); !s.ok()) {
    return s;
  }
  if (absl::Status s = ReadInto(config.tls_cert, options.pem_cert_chain); !s.ok()) {
    return s;
  }
  if (absl::Status s = ReadInto(config.tls_key, options.pem_private_key); !s.ok()) {
    return s;
  }
  return grpc::SslCredentials(options);
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> MakeChannel(const std::string& target,
                                                           const ChannelConfig& config) {
  if (target.empty()) {
    return absl::InvalidArgumentError("no address to connect to; write HOST:PORT or unix:/PATH");
  }
  absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> credentials =
      TransportCredentials(target, config);
  if (!credentials.ok()) return credentials.status();
  absl::StatusOr<std::string> token = Token(config);
  if (!token.ok()) return token.status();
  if (!token->empty()) {
    *credentials = grpc::CompositeChannelCredentials(
        *credentials, grpc::experimental::MetadataCredentialsFromPlugin(
                          std::make_unique<BearerToken>(*token), GRPC_SECURITY_NONE));
  }
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(config.max_message_bytes);
  arguments.SetMaxSendMessageSize(config.max_message_bytes);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // gRPC's own limit is two minutes: too long for a peer that has just been restarted.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, kMinReconnectMs);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxReconnectMs);
  return grpc::CreateCustomChannel(target, *credentials, arguments);
}

void SetDeadline(grpc::ClientContext& context, absl::Duration timeout) {
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
}

absl::Status WaitForConnection(grpc::Channel& channel, absl::string_view target,
                               absl::Duration timeout) {
  if (channel.WaitForConnected(absl::ToChronoTime(absl::Now() + timeout))) {
    return absl::OkStatus();
  }
  return absl::UnavailableError(absl::StrCat("nobody answers at ", target, " within ",
                                             absl::FormatDuration(timeout),
                                             "; is the server running there?"));
}

}  // namespace flightrec::rpc
