#include "services/mcp_bridge/query/grpc_query_engine.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"

namespace flightrec::mcp_bridge {

using query::v1::SqlResponse;

GrpcQueryEngine::GrpcQueryEngine(const std::shared_ptr<grpc::Channel>& channel, std::string target,
                                 absl::Duration deadline, metrics::Registry* registry)
    : stub_(query::v1::QueryService::NewStub(channel)),
      target_(std::move(target)),
      deadline_(deadline),
      failed_(registry->AddCounter("flightrec_mcp_query_failed_total",
                                   "Calls to the query engine that failed.")) {}

absl::Status GrpcQueryEngine::Finish(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  failed_.Add();
  absl::Status error = rpc::FromGrpcStatus(status);
  if (!absl::IsUnavailable(error)) return error;
  return rpc::WithReason(
      absl::UnavailableError(absl::StrCat("the query engine at ", target_, " does not answer (",
                                          error.message(), ")")),
      "QUERY_ENGINE_AWAY", "start it with 'flightrec up', or point the bridge's --query at it");
}

template <typename Response, typename Call>
absl::StatusOr<Response> GrpcQueryEngine::Unary(Call call, Cancellation& cancellation) {
  grpc::ClientContext context;
  rpc::SetDeadline(context, deadline_);
  Cancellation::Scope scope(&cancellation, [&context] { context.TryCancel(); });
  Response response;
  if (absl::Status s = Finish(call(&context, &response)); !s.ok()) return s;
  return response;
}

absl::StatusOr<query::v1::ListRecordingsResponse> GrpcQueryEngine::ListRecordings(
    const query::v1::ListRecordingsRequest& request, Cancellation& cancellation) {
  return Unary<query::v1::ListRecordingsResponse>(
      [&](auto* context, auto* response) {
        return stub_->ListRecordings(context, request, response);
      },
      cancellation);
}

absl::StatusOr<query::v1::OverviewResponse> GrpcQueryEngine::Overview(
    const query::v1::OverviewRequest& request, Cancellation& cancellation) {
  return Unary<query::v1::OverviewResponse>(
      [&](auto* context, auto* response) { return stub_->Overview(context, request, response); },
      cancellation);
}

absl::StatusOr<query::v1::ListFunctionsResponse> GrpcQueryEngine::ListFunctions(
    const query::v1::ListFunctionsRequest& request, Cancellation& cancellation) {
  return Unary<query::v1::ListFunctionsResponse>(
      [&](auto* context, auto* response) {
        return stub_->ListFunctions(context, request, response);
      },
      cancellation);
}

absl::StatusOr<query::v1::CallTreeResponse> GrpcQueryEngine::CallTree(
    const query::v1::CallTreeRequest& request, Cancellation& cancellation) {
  return Unary<query::v1::CallTreeResponse>(
      [&](auto* context, auto* response) { return stub_->CallTree(context, request, response); },
      cancellation);
}

absl::StatusOr<SqlAnswer> GrpcQueryEngine::Sql(const query::v1::SqlRequest& request,
                                               Cancellation& cancellation) {
  grpc::ClientContext context;
  rpc::SetDeadline(context, deadline_);
  Cancellation::Scope scope(&cancellation, [&context] { context.TryCancel(); });
  const auto reader = stub_->Sql(&context, request);
  SqlAnswer answer;
  bool ended = false;
  SqlResponse frame;
  while (reader->Read(&frame)) {
    if (frame.has_schema()) {
      answer.columns.assign(frame.schema().columns().begin(), frame.schema().columns().end());
    } else if (frame.has_rows()) {
      for (query::v1::SqlRow& row : *frame.mutable_rows()->mutable_rows()) {
        answer.rows.push_back(std::move(row));
      }
    } else if (frame.has_end()) {
      answer.end = frame.end();
      ended = true;
    }
  }
  if (absl::Status s = Finish(reader->Finish()); !s.ok()) return s;
  if (!ended) return absl::DataLossError("the query engine's answer was cut short; ask again");
  return answer;
}

}  // namespace flightrec::mcp_bridge
