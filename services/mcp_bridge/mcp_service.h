// mcp.transport.v1.Mcp: an MCP session per gRPC stream. Thread-safe. Translates
// frames, holds no logic.
#ifndef FLIGHTREC_SERVICES_MCP_BRIDGE_MCP_SERVICE_H_
#define FLIGHTREC_SERVICES_MCP_BRIDGE_MCP_SERVICE_H_

#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/metrics/registry.h"
#include "mcp/transport/v1/mcp.grpc.pb.h"
#include "services/mcp_bridge/tools/catalog.h"

namespace flightrec::mcp_bridge {

inline constexpr char kMcpServiceName[] = "mcp.transport.v1.Mcp";

class McpService final : public mcp::transport::v1::Mcp::Service {
 public:
  // Both outlive the service.
  McpService(const Catalog* catalog, metrics::Registry* registry);

  // RESOURCE_EXHAUSTED beyond kMaxSessions.
  grpc::Status Session(
      grpc::ServerContext* context,
      grpc::ServerReaderWriter<mcp::transport::v1::SessionResponse,
                               mcp::transport::v1::SessionRequest>* stream) override;

  // Ends every session: a drain would otherwise wait for clients to leave.
  void EndSessions();

  // A session holds a thread.
  static constexpr size_t kMaxSessions = 1000;

 private:
  const Catalog* const catalog_;
  metrics::Gauge& open_;
  absl::Mutex mutex_;
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::set<grpc::ServerContext*> contexts_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace flightrec::mcp_bridge

#endif  // FLIGHTREC_SERVICES_MCP_BRIDGE_MCP_SERVICE_H_
