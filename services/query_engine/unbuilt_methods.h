// Methods of QueryService that are in the contract and not built yet: each
// answers UNIMPLEMENTED and names what to use instead.
#ifndef SERVICES_QUERY_ENGINE_UNBUILT_METHODS_H_
#define SERVICES_QUERY_ENGINE_UNBUILT_METHODS_H_

#include <grpcpp/grpcpp.h>

#include "flightrec/query/v1/query.grpc.pb.h"

namespace flightrec::query_engine {

class UnbuiltMethods : public query::v1::QueryService::Service {
 public:
  grpc::Status ListCalls(grpc::ServerContext* context, const query::v1::ListCallsRequest* request,
                         query::v1::ListCallsResponse* response) override;
  grpc::Status GetCall(grpc::ServerContext* context, const query::v1::GetCallRequest* request,
                       query::v1::CallDetail* response) override;
  grpc::Status CriticalPath(grpc::ServerContext* context,
                            const query::v1::CriticalPathRequest* request,
                            query::v1::CriticalPathResponse* response) override;
  grpc::Status Timeline(grpc::ServerContext* context, const query::v1::TimelineRequest* request,
                        query::v1::TimelineResponse* response) override;
  grpc::Status FlameGraph(grpc::ServerContext* context, const query::v1::FlameGraphRequest* request,
                          query::v1::FlameGraphResponse* response) override;
  grpc::Status LatencyHistogram(grpc::ServerContext* context,
                                const query::v1::LatencyHistogramRequest* request,
                                query::v1::LatencyHistogramResponse* response) override;
  grpc::Status GetOutcome(grpc::ServerContext* context, const query::v1::GetOutcomeRequest* request,
                          query::v1::GetOutcomeResponse* response) override;
  grpc::Status DiffRecordings(grpc::ServerContext* context,
                              const query::v1::DiffRecordingsRequest* request,
                              query::v1::DiffRecordingsResponse* response) override;
  grpc::Status CheckOrder(grpc::ServerContext* context, const query::v1::CheckOrderRequest* request,
                          query::v1::CheckOrderResponse* response) override;
  grpc::Status Export(grpc::ServerContext* context, const query::v1::ExportRequest* request,
                      grpc::ServerWriter<query::v1::ExportResponse>* writer) override;
};

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_UNBUILT_METHODS_H_
