#include <signal.h>
#include <unistd.h>

#include <string>

#include "absl/flags/flag.h"
#include "common/log/logger.h"
#include "common/metrics/registry.h"
#include "common/rpc/grpc_log.h"
#include "common/rpc/server_flags.h"
#include "services/mcp_bridge/mcp_bridge_server.h"

ABSL_FLAG(std::string, query, "127.0.0.1:7073", "The query engine: HOST:PORT or unix:/PATH.");
ABSL_FLAG(bool, stdio, false,
          "Serve one MCP session over stdin and stdout instead of gRPC; logs go to stderr.");

namespace {

using flightrec::mcp_bridge::McpBridgeConfig;
using flightrec::mcp_bridge::McpBridgeServer;

constexpr int kDefaultPort = 7074;
constexpr int kDefaultMetricsPort = 8074;

absl::Status Serve(const McpBridgeConfig& config, flightrec::log::Logger& logger) {
  flightrec::metrics::Registry registry;
  if (absl::GetFlag(FLAGS_stdio)) {
    flightrec::rpc::GrpcLogRoute route(&logger);
    return flightrec::mcp_bridge::ServeStdio(config, STDIN_FILENO, STDOUT_FILENO, &logger,
                                             &registry);
  }
  auto server_config = flightrec::rpc::Finalize(
      flightrec::rpc::ServerConfigFromFlags(kDefaultPort, kDefaultMetricsPort));
  if (!server_config.ok()) return server_config.status();
  auto server = McpBridgeServer::Create(config, *server_config, &logger, &registry);
  if (!server.ok()) return server.status();
  return (*server)->server().Run();
}

}  // namespace

int main(int argc, char** argv) {
  flightrec::rpc::ParseServerFlags(argc, argv,
                                   "Offers recordings to agents over the Model Context Protocol.");
  // A client that closes our output is an error to report, not a signal to die of.
  signal(SIGPIPE, SIG_IGN);
  const auto level = flightrec::rpc::LogLevelFromFlags();
  flightrec::log::Logger logger("mcp_bridge", level.value_or(flightrec::log::Level::kInfo));
  const McpBridgeConfig config{.query = absl::GetFlag(FLAGS_query),
                               .query_channel = flightrec::rpc::PeerChannelConfigFromFlags()};
  const absl::Status status = level.ok() ? Serve(config, logger) : level.status();
  if (status.ok()) return 0;
  logger.Error("failed", {{"error", status}});
  return 1;
}
