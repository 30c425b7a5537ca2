#include "services/query_engine/query_service.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/rpc/status.h"
#include "services/query_engine/sql_stream.h"
#include "services/query_engine/views/call_tree.h"
#include "services/query_engine/views/function_view.h"
#include "services/query_engine/views/overview_view.h"

namespace flightrec::query_engine {
namespace {

constexpr int kDefaultPageSize = 50;
constexpr int kMaxPageSize = 1000;
constexpr int kDefaultTopFunctions = 10;
constexpr int kMaxTopFunctions = 100;
constexpr int kDefaultTreeNodes = 1000;
constexpr int kMaxTreeNodes = 100'000;
constexpr int kDefaultTreeDepth = 64;
// Below what a client accepts in one message unless told otherwise.
constexpr size_t kMaxTreeBytes = size_t{3} << 20;

// 0 means `standard`.
absl::StatusOr<int> InRange(absl::string_view field, int64_t value, int standard, int most) {
  if (value == 0) return standard;
  if (value >= 1 && value <= most) return static_cast<int>(value);
  return rpc::InvalidField(field, absl::StrCat("must be 0 to ", most, ", got ", value));
}

absl::StatusOr<FunctionOrder> OrderOf(query::v1::FunctionOrder order) {
  switch (order) {
    case query::v1::FUNCTION_ORDER_UNSPECIFIED:
    case query::v1::FUNCTION_ORDER_SELF:
      return FunctionOrder::kSelf;
    case query::v1::FUNCTION_ORDER_TOTAL:
      return FunctionOrder::kTotal;
    case query::v1::FUNCTION_ORDER_CALLS:
      return FunctionOrder::kCalls;
    case query::v1::FUNCTION_ORDER_P99:
      return FunctionOrder::kP99;
    case query::v1::FUNCTION_ORDER_MAX:
      return FunctionOrder::kMax;
    default:
      return rpc::InvalidField("order_by", absl::StrCat("unknown order ", static_cast<int>(order)));
  }
}

void FillStatistics(const FunctionRow& row, query::v1::FunctionStatistics& out) {
  *out.mutable_function() = row.function;
  query::v1::CallStatistics& statistics = *out.mutable_statistics();
  statistics.set_calls(row.totals.calls);
  statistics.set_calls_timed(row.totals.calls_timed);
  statistics.set_total_ns(row.totals.total_ns);
  statistics.set_self_ns(row.totals.self_ns);
  statistics.set_min_ns(row.totals.min_ns);
  statistics.set_p50_ns(row.totals.p50_ns);
  statistics.set_p90_ns(row.totals.p90_ns);
  statistics.set_p99_ns(row.totals.p99_ns);
  statistics.set_max_ns(row.totals.max_ns);
}

void FillNode(const CallTreeNode& node, query::v1::CallTreeNode& out) {
  out.set_path_id(node.path_id);
  out.set_parent_path_id(node.parent_path_id);
  out.set_function_id(node.function_id);
  out.set_function_name(node.function_name);
  out.set_depth(node.depth);
  out.set_calls(node.calls);
  out.set_total_ns(node.total_ns);
  out.set_self_ns(node.self_ns);
}

absl::Duration ToDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

}  // namespace

absl::StatusOr<std::shared_ptr<LoadedRecording>> QueryService::Load(grpc::ServerContext& context,
                                                                    const std::string& name) {
  if (name.empty()) {
    return rpc::InvalidField("recording", "is empty; give recordings/{id} or recordings/@latest");
  }
  return cache_.Get(name, [&context] { return context.IsCancelled(); });
}

grpc::Status QueryService::ListRecordings(grpc::ServerContext* /*context*/,
                                          const query::v1::ListRecordingsRequest* request,
                                          query::v1::ListRecordingsResponse* response) {
  absl::StatusOr<RecordingPage> page =
      backend_.ListRecordings(request->page_size(), request->page_token(), request->filter());
  if (!page.ok()) return rpc::ToGrpcStatus(page.status());
  for (trace::v1::Recording& recording : page->recordings) {
    *response->add_recordings() = std::move(recording);
  }
  response->set_next_page_token(page->next_page_token);
  return grpc::Status::OK;
}

grpc::Status QueryService::Overview(grpc::ServerContext* context,
                                    const query::v1::OverviewRequest* request,
                                    query::v1::OverviewResponse* response) {
  return rpc::ToGrpcStatus(FillOverview(*context, *request, *response));
}

absl::Status QueryService::FillOverview(grpc::ServerContext& context,
                                        const query::v1::OverviewRequest& request,
                                        query::v1::OverviewResponse& response) {
  absl::StatusOr<int> top =
      InRange("top_functions", request.top_functions(), kDefaultTopFunctions, kMaxTopFunctions);
  if (!top.ok()) return top.status();
  absl::StatusOr<std::shared_ptr<LoadedRecording>> loaded = Load(context, request.recording());
  if (!loaded.ok()) return loaded.status();
  absl::StatusOr<OverviewNumbers> numbers = CountOverview(*(*loaded)->database);
  if (!numbers.ok()) return numbers.status();
  FunctionQuery hottest;
  hottest.page_size = *top;
  absl::StatusOr<FunctionPage> functions =
      query_engine::ListFunctions(*(*loaded)->database, hottest);
  if (!functions.ok()) return functions.status();
  *response.mutable_recording() = (*loaded)->recording;
  for (const trace::v1::Process& process : (*loaded)->processes) {
    *response.add_processes() = process;
  }
  response.set_threads(numbers->threads);
  response.set_functions_called(numbers->functions_called);
  response.set_paths(numbers->paths);
  response.set_calls(numbers->calls);
  response.set_span_ns(numbers->span_ns);
  for (const FunctionRow& row : functions->rows) FillStatistics(row, *response.add_top_functions());
  *response.mutable_completeness() = (*loaded)->completeness;
  return absl::OkStatus();
}

grpc::Status QueryService::ListFunctions(grpc::ServerContext* context,
                                         const query::v1::ListFunctionsRequest* request,
                                         query::v1::ListFunctionsResponse* response) {
  return rpc::ToGrpcStatus(FillFunctions(*context, *request, *response));
}

absl::Status QueryService::FillFunctions(grpc::ServerContext& context,
                                         const query::v1::ListFunctionsRequest& request,
                                         query::v1::ListFunctionsResponse& response) {
  absl::StatusOr<int> page_size =
      InRange("page_size", request.page_size(), kDefaultPageSize, kMaxPageSize);
  if (!page_size.ok()) return page_size.status();
  absl::StatusOr<FunctionOrder> order = OrderOf(request.order_by());
  if (!order.ok()) return order.status();
  absl::StatusOr<std::shared_ptr<LoadedRecording>> loaded = Load(context, request.recording());
  if (!loaded.ok()) return loaded.status();
  absl::StatusOr<FunctionPage> page =
      query_engine::ListFunctions(*(*loaded)->database, {.order = *order,
                                                         .name_contains = request.name_contains(),
                                                         .page_size = *page_size,
                                                         .page_token = request.page_token()});
  if (!page.ok()) return page.status();
  for (const FunctionRow& row : page->rows) FillStatistics(row, *response.add_functions());
  response.set_next_page_token(page->next_page_token);
  response.set_total_size(page->total_size);
  *response.mutable_completeness() = (*loaded)->completeness;
  return absl::OkStatus();
}

grpc::Status QueryService::CallTree(grpc::ServerContext* context,
                                    const query::v1::CallTreeRequest* request,
                                    query::v1::CallTreeResponse* response) {
  return rpc::ToGrpcStatus(FillCallTree(*context, *request, *response));
}

absl::Status QueryService::FillCallTree(grpc::ServerContext& context,
                                        const query::v1::CallTreeRequest& request,
                                        query::v1::CallTreeResponse& response) {
  absl::StatusOr<int> nodes =
      InRange("max_nodes", request.max_nodes(), kDefaultTreeNodes, kMaxTreeNodes);
  if (!nodes.ok()) return nodes.status();
  if (request.max_depth() < 0) {
    return rpc::InvalidField("max_depth",
                             absl::StrCat("must be 0 or more, got ", request.max_depth()));
  }
  if (!(request.min_share() >= 0 && request.min_share() <= 1)) {
    return rpc::InvalidField("min_share",
                             absl::StrCat("must be 0 to 1, got ", request.min_share()));
  }
  if (!query::v1::TreeDirection_IsValid(request.direction())) {
    return rpc::InvalidField(
        "direction", absl::StrCat("unknown direction ", static_cast<int>(request.direction())));
  }
  const bool callers = request.direction() == query::v1::TREE_DIRECTION_CALLERS;
  if (callers && request.function().empty()) {
    return rpc::InvalidField("function", "is empty; name the function whose callers are asked for");
  }
  const CallTreeLimits limits = {
      .max_depth = request.max_depth() == 0 ? kDefaultTreeDepth : request.max_depth(),
      .min_share = request.min_share(),
      .max_nodes = *nodes};
  absl::StatusOr<std::shared_ptr<LoadedRecording>> loaded = Load(context, request.recording());
  if (!loaded.ok()) return loaded.status();
  Database& database = *(*loaded)->database;
  absl::StatusOr<query_engine::CallTree> tree =
      callers ? CallerTree(database, request.function(), limits) : CalleeTree(database, limits);
  if (!tree.ok()) return tree.status();
  size_t bytes = 0;
  for (const CallTreeNode& node : tree->nodes) {
    query::v1::CallTreeNode out;
    FillNode(node, out);
    bytes += out.ByteSizeLong() + sizeof(uint64_t);
    if (bytes > kMaxTreeBytes) {
      tree->truncated = true;
      break;
    }
    *response.add_nodes() = std::move(out);
  }
  response.set_total_nodes(tree->total_nodes);
  response.set_truncated(tree->truncated);
  *response.mutable_completeness() = (*loaded)->completeness;
  return absl::OkStatus();
}

grpc::Status QueryService::Sql(grpc::ServerContext* context, const query::v1::SqlRequest* request,
                               grpc::ServerWriter<query::v1::SqlResponse>* writer) {
  const absl::Cleanup leave = [this] { statements_.fetch_sub(1, std::memory_order_relaxed); };
  if (statements_.fetch_add(1, std::memory_order_relaxed) >= limits_.max_statements) {
    return rpc::ToGrpcStatus(
        rpc::WithRetryAfter(absl::ResourceExhaustedError(
                                absl::StrCat("statement limit exceeded: ", limits_.max_statements,
                                             " are running; try again when one has ended")),
                            absl::Seconds(1)));
  }
  return rpc::ToGrpcStatus(StreamSql(*context, *request, *writer));
}

absl::StatusOr<UserQueryLimits> QueryService::LimitsFor(
    grpc::ServerContext& context, const query::v1::SqlRequest& request) const {
  UserQueryLimits limits{.max_rows = limits_.default_rows,
                         .timeout = limits_.default_timeout,
                         .cancelled = [&context] { return context.IsCancelled(); }};
  if (request.max_rows() < 0 || request.max_rows() > limits_.max_rows) {
    return rpc::InvalidField(
        "max_rows", absl::StrCat("must be 0 to ", limits_.max_rows, ", got ", request.max_rows()));
  }
  if (request.max_rows() > 0) limits.max_rows = request.max_rows();
  if (request.has_timeout()) {
    limits.timeout = ToDuration(request.timeout());
    if (limits.timeout <= absl::ZeroDuration() || limits.timeout > limits_.max_timeout) {
      return rpc::InvalidField("timeout",
                               absl::StrCat("must be longer than 0 and at most ",
                                            absl::FormatDuration(limits_.max_timeout), ", got ",
                                            absl::FormatDuration(limits.timeout)));
    }
  }
  return limits;
}

absl::Status QueryService::StreamSql(grpc::ServerContext& context,
                                     const query::v1::SqlRequest& request,
                                     grpc::ServerWriter<query::v1::SqlResponse>& writer) {
  absl::StatusOr<UserQueryLimits> limits = LimitsFor(context, request);
  if (!limits.ok()) return limits.status();
  absl::StatusOr<std::shared_ptr<LoadedRecording>> loaded = Load(context, request.recording());
  if (!loaded.ok()) return loaded.status();
  // What is left of the caller's own deadline reaches the engine too.
  const absl::Duration left = absl::FromChrono(context.deadline()) - absl::Now();
  limits->timeout = std::min(limits->timeout, left);
  SqlStream stream(writer);
  absl::StatusOr<UserQueryTotals> totals =
      RunUserQuery(*(*loaded)->database, watch_, request.statement(), *limits, stream);
  if (absl::IsInternal(totals.status())) cache_.Drop(**loaded);
  if (!totals.ok()) return totals.status();
  return stream.End(*totals, (*loaded)->completeness);
}

}  // namespace flightrec::query_engine
