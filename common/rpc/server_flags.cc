#include "common/rpc/server_flags.h"

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

ABSL_FLAG(std::string, listen, "",
          "Address to serve gRPC on: HOST:PORT or unix:/PATH. Empty: loopback "
          "on this service's port.");
ABSL_FLAG(std::string, metrics_listen, "",
          "Address to serve Prometheus metrics on, or 'off'. Empty: loopback "
          "on this service's metrics port.");
ABSL_FLAG(bool, metrics_allow_remote, false,
          "Let --metrics_listen be beyond loopback; metrics have no "
          "authentication.");
ABSL_FLAG(std::string, tls_cert, "", "PEM certificate chain of this server.");
ABSL_FLAG(std::string, tls_key, "", "PEM key of --tls_cert.");
ABSL_FLAG(std::string, tls_client_ca, "",
          "PEM certificates that clients' certificates must be signed by.");
ABSL_FLAG(std::string, token_file, "",
          "Bearer tokens that clients may use, one a line: TOKEN "
          "ROLE[,ROLE...] [TENANT]; roles are read, write, control, admin.");
ABSL_FLAG(int, max_message_bytes, flightrec::rpc::kDefaultMaxMessageBytes,
          "Largest gRPC message sent or received.");
ABSL_FLAG(int, max_concurrent_streams, flightrec::rpc::kDefaultMaxConcurrentStreams,
          "Most calls at once on one connection.");
ABSL_FLAG(absl::Duration, drain_deadline, flightrec::rpc::kDefaultDrainDeadline,
          "How long running calls may go on after SIGTERM.");
ABSL_FLAG(std::string, log_level, "info", "Least level logged: debug, info, warning, error.");
ABSL_FLAG(std::string, peer_tls_ca, "",
          "PEM certificates that the servers we dial must be signed by. Empty: "
          "plain text, this machine only.");
ABSL_FLAG(std::string, peer_tls_cert, "", "PEM certificate we show to the servers we dial.");
ABSL_FLAG(std::string, peer_tls_key, "", "PEM key of --peer_tls_cert.");
ABSL_FLAG(std::string, peer_token_file, "", "File with the token we send to the servers we dial.");

namespace flightrec::rpc {

void ParseServerFlags(int argc, char** argv, absl::string_view usage) {
  absl::FlagsUsageConfig config;
  // Otherwise --help looks for flags in a file called like the program.
  config.contains_help_flags = [](absl::string_view file) {
    return absl::EndsWith(file, "/main.cc") || absl::EndsWith(file, "/server_flags.cc");
  };
  absl::SetFlagsUsageConfig(config);
  absl::SetProgramUsageMessage(usage);
  const std::vector<char*> words = absl::ParseCommandLine(argc, argv);
  if (words.size() > 1) {
    std::cerr << "'" << words[1] << "' is no flag: flags begin with --, see --help\n";
    std::exit(1);
  }
}

ServerConfig ServerConfigFromFlags(int default_port, int default_metrics_port) {
  ServerConfig config;
  config.listen = absl::GetFlag(FLAGS_listen);
  if (config.listen.empty()) {
    config.listen = absl::StrCat("127.0.0.1:", default_port);
  }
  config.metrics_listen = absl::GetFlag(FLAGS_metrics_listen);
  if (config.metrics_listen.empty()) {
    config.metrics_listen = absl::StrCat("127.0.0.1:", default_metrics_port);
  } else if (config.metrics_listen == "off") {
    config.metrics_listen.clear();
  }
  config.metrics_allow_remote = absl::GetFlag(FLAGS_metrics_allow_remote);
  config.tls_cert = absl::GetFlag(FLAGS_tls_cert);
  config.tls_key = absl::GetFlag(FLAGS_tls_key);
  config.tls_client_ca = absl::GetFlag(FLAGS_tls_client_ca);
  config.token_file = absl::GetFlag(FLAGS_token_file);
  config.max_message_bytes = absl::GetFlag(FLAGS_max_message_bytes);
  config.max_concurrent_streams = absl::GetFlag(FLAGS_max_concurrent_streams);
  config.drain_deadline = absl::GetFlag(FLAGS_drain_deadline);
  return config;
}

ChannelConfig PeerChannelConfigFromFlags() {
  ChannelConfig config;
  config.tls_ca = absl::GetFlag(FLAGS_peer_tls_ca);
  config.tls_cert = absl::GetFlag(FLAGS_peer_tls_cert);
  config.tls_key = absl::GetFlag(FLAGS_peer_tls_key);
  config.token_file = absl::GetFlag(FLAGS_peer_token_file);
  config.max_message_bytes = absl::GetFlag(FLAGS_max_message_bytes);
  return config;
}

absl::StatusOr<log::Level> LogLevelFromFlags() {
  return log::ParseLevel(absl::GetFlag(FLAGS_log_level));
}

}  // namespace flightrec::rpc
