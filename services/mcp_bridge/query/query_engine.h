// The questions the tools ask, in the words of the query contract. Methods
// block and may be called from several threads; cancelling `cancellation` ends
// a call early with CANCELLED. Errors are those of the query engine, with
// details. A fake for tests implements it too.
#ifndef FLIGHTREC_SERVICES_MCP_BRIDGE_QUERY_QUERY_ENGINE_H_
#define FLIGHTREC_SERVICES_MCP_BRIDGE_QUERY_QUERY_ENGINE_H_

#include <vector>

#include "absl/status/statusor.h"
#include "flightrec/query/v1/query.pb.h"
#include "services/mcp_bridge/query/cancellation.h"

namespace flightrec::mcp_bridge {

struct SqlAnswer {
  std::vector<query::v1::SqlColumn> columns;
  std::vector<query::v1::SqlRow> rows;
  query::v1::SqlEnd end;
};

class QueryEngine {
 public:
  virtual ~QueryEngine() = default;

  virtual absl::StatusOr<query::v1::ListRecordingsResponse> ListRecordings(
      const query::v1::ListRecordingsRequest& request, Cancellation& cancellation) = 0;
  virtual absl::StatusOr<query::v1::OverviewResponse> Overview(
      const query::v1::OverviewRequest& request, Cancellation& cancellation) = 0;
  virtual absl::StatusOr<query::v1::ListFunctionsResponse> ListFunctions(
      const query::v1::ListFunctionsRequest& request, Cancellation& cancellation) = 0;
  virtual absl::StatusOr<query::v1::CallTreeResponse> CallTree(
      const query::v1::CallTreeRequest& request, Cancellation& cancellation) = 0;
  virtual absl::StatusOr<SqlAnswer> Sql(const query::v1::SqlRequest& request,
                                        Cancellation& cancellation) = 0;
};

}  // namespace flightrec::mcp_bridge

#endif  // FLIGHTREC_SERVICES_MCP_BRIDGE_QUERY_QUERY_ENGINE_H_
