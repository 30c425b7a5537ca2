// Wires the bridge together: the client of the query engine, the tools, and the
// two ways in, gRPC and stdio. The only place that constructs concrete types.
// Driven by one thread. Holds no recorded data.
#ifndef FLIGHTREC_SERVICES_MCP_BRIDGE_MCP_BRIDGE_SERVER_H_
#define FLIGHTREC_SERVICES_MCP_BRIDGE_MCP_BRIDGE_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/log/logger.h"
#include "common/metrics/registry.h"
#include "common/rpc/channel.h"
#include "common/rpc/server.h"
#include "common/rpc/server_config.h"

namespace flightrec::mcp_bridge {

struct McpBridgeConfig {
  // Where the query engine listens: "127.0.0.1:7073" or "unix:/path".
  std::string query = "127.0.0.1:7073";
  rpc::ChannelConfig query_channel{};
};

class McpBridgeServer {
 public:
  // `logger` and `registry` outlive the object. Does not wait for the query
  // engine: tools say when it is away.
  static absl::StatusOr<std::unique_ptr<McpBridgeServer>> Create(
      const McpBridgeConfig& config, const rpc::FinalizedServerConfig& server_config,
      log::Logger* logger, metrics::Registry* registry);
  ~McpBridgeServer();

  // Start, address, Drain, Run.
  rpc::Server& server();

 private:
  struct Parts;
  explicit McpBridgeServer(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

// One MCP session over two file descriptors (not owned), until `in` ends: a
// message a line in both directions.
absl::Status ServeStdio(const McpBridgeConfig& config, int in, int out, log::Logger* logger,
                        metrics::Registry* registry);

}  // namespace flightrec::mcp_bridge

#endif  // FLIGHTREC_SERVICES_MCP_BRIDGE_MCP_BRIDGE_SERVER_H_
