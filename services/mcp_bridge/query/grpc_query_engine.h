// The query engine behind a gRPC channel. Thread-safe. Every call has the
// deadline given; none is retried. UNAVAILABLE says where it was looked for.
#ifndef FLIGHTREC_SERVICES_MCP_BRIDGE_QUERY_GRPC_QUERY_ENGINE_H_
#define FLIGHTREC_SERVICES_MCP_BRIDGE_QUERY_GRPC_QUERY_ENGINE_H_

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "common/metrics/registry.h"
#include "flightrec/query/v1/query.grpc.pb.h"
#include "services/mcp_bridge/query/query_engine.h"

namespace flightrec::mcp_bridge {

inline constexpr absl::Duration kQueryDeadline = absl::Seconds(60);

class GrpcQueryEngine : public QueryEngine {
 public:
  // `target` is only for messages. `registry` outlives the object.
  GrpcQueryEngine(const std::shared_ptr<grpc::Channel>& channel, std::string target,
                  absl::Duration deadline, metrics::Registry* registry);

  absl::StatusOr<query::v1::ListRecordingsResponse> ListRecordings(
      const query::v1::ListRecordingsRequest& request, Cancellation& cancellation) override;
  absl::StatusOr<query::v1::OverviewResponse> Overview(const query::v1::OverviewRequest& request,
                                                       Cancellation& cancellation) override;
  absl::StatusOr<query::v1::ListFunctionsResponse> ListFunctions(
      const query::v1::ListFunctionsRequest& request, Cancellation& cancellation) override;
  absl::StatusOr<query::v1::CallTreeResponse> CallTree(const query::v1::CallTreeRequest& request,
                                                       Cancellation& cancellation) override;
  absl::StatusOr<SqlAnswer> Sql(const query::v1::SqlRequest& request,
                                Cancellation& cancellation) override;

 private:
  template <typename Response, typename Call>
  absl::StatusOr<Response> Unary(Call call, Cancellation& cancellation);
  absl::Status Finish(const grpc::Status& status);

  const std::unique_ptr<query::v1::QueryService::Stub> stub_;
  const std::string target_;
  const absl::Duration deadline_;
  metrics::Counter& failed_;
};

}  // namespace flightrec::mcp_bridge

#endif  // FLIGHTREC_SERVICES_MCP_BRIDGE_QUERY_GRPC_QUERY_ENGINE_H_
