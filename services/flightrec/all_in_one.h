// The services that one `flightrec` process runs itself: some or all of the four, in one process
// and still over gRPC. Started and drained by one thread. It owns the store while it has a backend,
// and says so in the store's endpoint file.

#ifndef SERVICES_FLIGHTREC_ALL_IN_ONE_H_
#define SERVICES_FLIGHTREC_ALL_IN_ONE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/log/logger.h"
#include "common/metrics/registry.h"
#include "common/rpc/endpoint_file.h"
#include "common/rpc/server_config.h"
#include "services/backend/backend_server.h"
#include "services/mcp_bridge/mcp_bridge_server.h"
#include "services/query_engine/query_server.h"
#include "services/tracer/tracer_server.h"

namespace flightrec::cli {

struct AllInOneConfig {
  std::string store;
  // A backend that runs elsewhere; empty = run one on the store.
  std::string backend;
  // It has another store than `store`.
  bool other_store = false;
  // Which others to run.
  bool query = false;
  bool tracer = false;
  bool mcp = false;
  // Where they listen, host:port. An empty one listens on a socket in the store's directory, which
  // only its owner can enter.
  rpc::Endpoints listen{};
  // Of the programs that the tracer starts.
  std::vector<int> inherited_descriptors;
  // The tracer's limits, 0 = default.
  int max_threads = 0;
  int64_t lane_bytes = 0;
  // The query engine's, 0 = default.
  int64_t memory_limit_mb = 0;
  // Where such tracers of this user have their state, each in a directory of its own; empty:
  // tracer::DefaultStateDirectory().
  std::string state_directory;
  // The tracer takes over what killed ones have left there; with `clean` nothing of it goes on.
  bool recover = false;
  bool clean = false;
};

class AllInOne {
 public:
  // FAILED_PRECONDITION when another process owns the store. `logger` and `registry` outlive the
  // object.
  static absl::StatusOr<std::unique_ptr<AllInOne>> Start(const AllInOneConfig& config,
                                                         log::Logger* logger,
                                                         metrics::Registry* registry);
  ~AllInOne();
  AllInOne(const AllInOne&) = delete;
  AllInOne& operator=(const AllInOne&) = delete;

  // Addresses of what runs here, and of the backend that is used.
  const rpc::Endpoints& endpoints() const { return endpoints_; }

  // What was found of tracers that were killed. With `tracer` only.
  const std::vector<tracer::Recovered>& recovered() const { return tracer_->recovered(); }

  // Runs the backend itself after the process that ran it has gone. FAILED_PRECONDITION when a
  // third one was faster.
  absl::Status TakeOverBackend();

  // Lets running calls finish; front to back, so that nothing is cut off from what it needs.
  void Drain();

 private:
  AllInOne(AllInOneConfig config, log::Logger* logger, metrics::Registry* registry);
  absl::Status StartBackend();
  absl::Status StartQuery();
  absl::Status StartTracer();
  absl::Status StartMcp();
  // `listen`, or where the server `name` listens without it.
  rpc::ServerConfig ServerFor(const std::string& name, const std::string& listen) const;

  const AllInOneConfig config_;
  log::Logger* const logger_;
  metrics::Registry* const registry_;
  rpc::Endpoints endpoints_;
  std::unique_ptr<backend::BackendServer> backend_;
  std::unique_ptr<query_engine::QueryServer> query_;
  std::unique_ptr<tracer::TracerServer> tracer_;
  std::unique_ptr<mcp_bridge::McpBridgeServer> mcp_;
};

}  // namespace flightrec::cli

#endif  // SERVICES_FLIGHTREC_ALL_IN_ONE_H_
