// QueryService: requests to domain questions, domain rows to responses. Holds
// no logic of its own.
//
// Thread-safe. Methods that are not here answer UNIMPLEMENTED through
// unbuilt_methods.h.
#ifndef SERVICES_QUERY_ENGINE_QUERY_SERVICE_H_
#define SERVICES_QUERY_ENGINE_QUERY_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "flightrec/query/v1/query.grpc.pb.h"
#include "services/query_engine/catalog/recording_cache.h"
#include "services/query_engine/engine/query_watch.h"
#include "services/query_engine/engine/user_query.h"
#include "services/query_engine/source/backend_client.h"
#include "services/query_engine/unbuilt_methods.h"

namespace flightrec::query_engine {

struct SqlLimits {
  // When the request does not say, and that it may ask for.
  int64_t default_rows = 0;
  int64_t max_rows = 0;
  absl::Duration default_timeout;
  absl::Duration max_timeout;
  // At once.
  int max_statements = 0;
};

class QueryService final : public UnbuiltMethods {
 public:
  // All outlive the service.
  QueryService(BackendClient& backend, RecordingCache& cache, QueryWatch& watch,
               const SqlLimits& limits)
      : backend_(backend), cache_(cache), watch_(watch), limits_(limits) {}

  grpc::Status ListRecordings(grpc::ServerContext* context,
                              const query::v1::ListRecordingsRequest* request,
                              query::v1::ListRecordingsResponse* response) override;
  grpc::Status Overview(grpc::ServerContext* context, const query::v1::OverviewRequest* request,
                        query::v1::OverviewResponse* response) override;
  grpc::Status ListFunctions(grpc::ServerContext* context,
                             const query::v1::ListFunctionsRequest* request,
                             query::v1::ListFunctionsResponse* response) override;
  grpc::Status CallTree(grpc::ServerContext* context, const query::v1::CallTreeRequest* request,
                        query::v1::CallTreeResponse* response) override;
  grpc::Status Sql(grpc::ServerContext* context, const query::v1::SqlRequest* request,
                   grpc::ServerWriter<query::v1::SqlResponse>* writer) override;

 private:
  absl::StatusOr<std::shared_ptr<LoadedRecording>> Load(grpc::ServerContext& context,
                                                        const std::string& name);
  absl::Status FillOverview(grpc::ServerContext& context, const query::v1::OverviewRequest& request,
                            query::v1::OverviewResponse& response);
  absl::Status FillFunctions(grpc::ServerContext& context,
                             const query::v1::ListFunctionsRequest& request,
                             query::v1::ListFunctionsResponse& response);
  absl::Status FillCallTree(grpc::ServerContext& context, const query::v1::CallTreeRequest& request,
                            query::v1::CallTreeResponse& response);
  absl::StatusOr<UserQueryLimits> LimitsFor(grpc::ServerContext& context,
                                            const query::v1::SqlRequest& request) const;
  absl::Status StreamSql(grpc::ServerContext& context, const query::v1::SqlRequest& request,
                         grpc::ServerWriter<query::v1::SqlResponse>& writer);

  BackendClient& backend_;
  RecordingCache& cache_;
  QueryWatch& watch_;
  const SqlLimits limits_;
  // Statements that run now.
  std::atomic<int> statements_ = 0;
};

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_QUERY_SERVICE_H_
