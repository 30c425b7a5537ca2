#include "services/query_engine/unbuilt_methods.h"

#include <string>

namespace flightrec::query_engine {
namespace {

grpc::Status Unbuilt(const std::string& method, const std::string& tables) {
  return {grpc::StatusCode::UNIMPLEMENTED,
          method + " is not built yet; use Sql over the tables " + tables + " instead"};
}

}  // namespace

grpc::Status UnbuiltMethods::ListCalls(grpc::ServerContext* /*context*/,
                                       const query::v1::ListCallsRequest* /*request*/,
                                       query::v1::ListCallsResponse* /*response*/) {
  return Unbuilt("ListCalls", "calls, functions");
}

grpc::Status UnbuiltMethods::GetCall(grpc::ServerContext* /*context*/,
                                     const query::v1::GetCallRequest* /*request*/,
                                     query::v1::CallDetail* /*response*/) {
  return Unbuilt("GetCall", "calls, functions");
}

grpc::Status UnbuiltMethods::CriticalPath(grpc::ServerContext* /*context*/,
                                          const query::v1::CriticalPathRequest* /*request*/,
                                          query::v1::CriticalPathResponse* /*response*/) {
  return Unbuilt("CriticalPath", "calls, threads");
}

grpc::Status UnbuiltMethods::Timeline(grpc::ServerContext* /*context*/,
                                      const query::v1::TimelineRequest* /*request*/,
                                      query::v1::TimelineResponse* /*response*/) {
  return Unbuilt("Timeline", "calls, threads");
}

grpc::Status UnbuiltMethods::FlameGraph(grpc::ServerContext* /*context*/,
                                        const query::v1::FlameGraphRequest* /*request*/,
                                        query::v1::FlameGraphResponse* /*response*/) {
  return Unbuilt("FlameGraph", "calls, paths");
}

grpc::Status UnbuiltMethods::LatencyHistogram(grpc::ServerContext* /*context*/,
                                              const query::v1::LatencyHistogramRequest* /*request*/,
                                              query::v1::LatencyHistogramResponse* /*response*/) {
  return Unbuilt("LatencyHistogram", "calls, functions");
}

grpc::Status UnbuiltMethods::GetOutcome(grpc::ServerContext* /*context*/,
                                        const query::v1::GetOutcomeRequest* /*request*/,
                                        query::v1::GetOutcomeResponse* /*response*/) {
  return Unbuilt("GetOutcome", "processes");
}

grpc::Status UnbuiltMethods::DiffRecordings(grpc::ServerContext* /*context*/,
                                            const query::v1::DiffRecordingsRequest* /*request*/,
                                            query::v1::DiffRecordingsResponse* /*response*/) {
  return Unbuilt("DiffRecordings", "calls, functions of each recording");
}

grpc::Status UnbuiltMethods::CheckOrder(grpc::ServerContext* /*context*/,
                                        const query::v1::CheckOrderRequest* /*request*/,
                                        query::v1::CheckOrderResponse* /*response*/) {
  return Unbuilt("CheckOrder", "calls, functions");
}

grpc::Status UnbuiltMethods::Export(grpc::ServerContext* /*context*/,
                                    const query::v1::ExportRequest* /*request*/,
                                    grpc::ServerWriter<query::v1::ExportResponse>* /*writer*/) {
  return Unbuilt("Export", "calls, functions, paths");
}

}  // namespace flightrec::query_engine
