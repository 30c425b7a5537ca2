// All tools the bridge offers: lists them and calls one by name. Thread-safe
// after construction. Gives MCP's tool results, knows no JSON-RPC.
#ifndef FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_CATALOG_H_
#define FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_CATALOG_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/log/logger.h"
#include "common/metrics/registry.h"
#include "services/mcp_bridge/query/query_engine.h"
#include "services/mcp_bridge/tools/tool.h"

namespace flightrec::mcp_bridge {

class Catalog {
 public:
  // All outlive the catalog.
  Catalog(QueryEngine* engine, log::Logger* logger, metrics::Registry* registry);

  // The value of "tools" in tools/list.
  Json List() const;

  // A CallToolResult, with isError when the tool failed. NOT_FOUND, with the
  // nearest names, when there is no such tool.
  absl::StatusOr<Json> Call(const std::string& name, const Json& arguments,
                            Cancellation& cancellation) const;

 private:
  struct Entry {
    Tool tool;
    metrics::Counter* succeeded;
    metrics::Counter* failed;
    metrics::Counter* tokens;
  };

  // `arguments` are checked and complete.
  absl::StatusOr<Json> Run(const Tool& tool, const Json& arguments,
                           Cancellation& cancellation) const;
  Json ErrorResult(const Json& arguments, const absl::Status& error, const std::string& next_step,
                   Cancellation& cancellation) const;

  QueryEngine* const engine_;
  log::Logger* const logger_;
  std::vector<Entry> entries_;
};

}  // namespace flightrec::mcp_bridge

#endif  // FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_CATALOG_H_
