#include "services/mcp_bridge/mcp_bridge_server.h"

#include <utility>

#include "services/mcp_bridge/mcp_service.h"
#include "services/mcp_bridge/query/grpc_query_engine.h"
#include "services/mcp_bridge/stdio/line_loop.h"
#include "services/mcp_bridge/tools/catalog.h"

namespace flightrec::mcp_bridge {
namespace {

constexpr char kName[] = "mcp_bridge";

// The tools and what they ask; the same for both ways in.
struct Backing {
  Backing(const std::shared_ptr<grpc::Channel>& channel, const std::string& target,
          log::Logger* logger, metrics::Registry* registry)
      : engine(channel, target, kQueryDeadline, registry), catalog(&engine, logger, registry) {}

  GrpcQueryEngine engine;
  Catalog catalog;
};

}  // namespace

struct McpBridgeServer::Parts {
  Parts(const std::shared_ptr<grpc::Channel>& channel, const std::string& target,
        const rpc::FinalizedServerConfig& config, log::Logger* logger, metrics::Registry* registry)
      : backing(channel, target, logger, registry),
        service(&backing.catalog, registry),
        server(config, kName, logger, registry) {
    server.Register(&service, kMcpServiceName);
    server.WatchDependency("query_engine", channel);
    server.OnDrain([this] { service.EndSessions(); });
  }

  Backing backing;
  McpService service;
  // Last: it is drained before what it serves is destroyed.
  rpc::Server server;
};

absl::StatusOr<std::unique_ptr<McpBridgeServer>> McpBridgeServer::Create(
    const McpBridgeConfig& config, const rpc::FinalizedServerConfig& server_config,
    log::Logger* logger, metrics::Registry* registry) {
  absl::StatusOr<std::shared_ptr<grpc::Channel>> channel =
      rpc::MakeChannel(config.query, config.query_channel);
  if (!channel.ok()) return channel.status();
  return std::unique_ptr<McpBridgeServer>(new McpBridgeServer(
      std::make_unique<Parts>(*channel, config.query, server_config, logger, registry)));
}

McpBridgeServer::McpBridgeServer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
McpBridgeServer::~McpBridgeServer() = default;

rpc::Server& McpBridgeServer::server() { return parts_->server; }

absl::Status ServeStdio(const McpBridgeConfig& config, int in, int out, log::Logger* logger,
                        metrics::Registry* registry) {
  absl::StatusOr<std::shared_ptr<grpc::Channel>> channel =
      rpc::MakeChannel(config.query, config.query_channel);
  if (!channel.ok()) return channel.status();
  const Backing backing(*channel, config.query, logger, registry);
  return RunLineLoop(backing.catalog, in, out);
}

}  // namespace flightrec::mcp_bridge
