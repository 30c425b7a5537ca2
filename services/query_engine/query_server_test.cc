#include "services/query_engine/query_server.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/log/logger.h"
#include "common/metrics/registry.h"
#include "flightrec/query/v1/query.grpc.pb.h"
#include "services/query_engine/config.h"
#include "services/query_engine/fake_backend.h"
#include "services/query_engine/load/thread_script.h"

namespace flightrec::query_engine {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kRecording[] = "recordings/01ARZ3NDEKTSV4RRFFQ69G5FAV";
constexpr char kEndless[] =
    "SELECT count(*) FROM range(10000000) a, range(10000000) b WHERE a.range % 7 = b.range % 11";

class QueryServerTest : public ::testing::Test {
 protected:
  QueryServerTest() {
    backend_.AddRecording(kRecording);
    backend_.AddFunction(kRecording, 1, "main");
    backend_.AddFunction(kRecording, 2, "parse");
    script_.Enter(0, 1).Enter(10, 2).Leave(30).Enter(40, 2).Leave(50).Leave(100);
    backend_.AddChunk(kRecording, script_.Seal());
    Config config;
    config.backend = backend_.address();
    config.engine_threads = 1;
    config.max_statements = 2;
    server_ = *QueryServer::Start(*Finalize(config), &logger_, &registry_);
    stub_ = query::v1::QueryService::NewStub(
        grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  }

  struct SqlAnswer {
    grpc::Status status;
    std::vector<std::string> columns;
    std::vector<query::v1::SqlRow> rows;
    query::v1::SqlEnd end;
    bool has_end = false;
    size_t largest_frame = 0;
  };

  SqlAnswer Sql(const std::string& statement, int64_t max_rows = 0,
                absl::Duration deadline = absl::Seconds(60)) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(absl::Now() + deadline));
    query::v1::SqlRequest request;
    request.set_recording(kRecording);
    request.set_statement(statement);
    request.set_max_rows(max_rows);
    return Read(context, request);
  }

  SqlAnswer Read(grpc::ClientContext& context, const query::v1::SqlRequest& request) {
    SqlAnswer answer;
    const auto reader = stub_->Sql(&context, request);
    query::v1::SqlResponse response;
    while (reader->Read(&response)) {
      answer.largest_frame = std::max(answer.largest_frame, response.ByteSizeLong());
      for (const auto& column : response.schema().columns()) {
        answer.columns.push_back(column.name() + " " + column.type());
      }
      for (const auto& row : response.rows().rows()) answer.rows.push_back(row);
      if (!response.has_end()) continue;
      answer.end = response.end();
      answer.has_end = true;
    }
    answer.status = reader->Finish();
    return answer;
  }

  grpc::Status ListFunctions(query::v1::ListFunctionsRequest request,
                             query::v1::ListFunctionsResponse& response) {
    grpc::ClientContext context;
    if (request.recording().empty()) request.set_recording(kRecording);
    return stub_->ListFunctions(&context, request, &response);
  }

  FakeBackend backend_;
  ThreadScript script_{7};
  log::Logger logger_{"query_engine_test", log::Level::kError};
  metrics::Registry registry_;
  std::unique_ptr<QueryServer> server_;
  std::unique_ptr<query::v1::QueryService::Stub> stub_;
};

TEST_F(QueryServerTest, overview__then_counts_what_the_chunks_hold) {
  grpc::ClientContext context;
  query::v1::OverviewRequest request;
  request.set_recording("recordings/@latest");
  query::v1::OverviewResponse response;
  ASSERT_TRUE(stub_->Overview(&context, request, &response).ok());
  EXPECT_EQ(response.recording().name(), kRecording);
  EXPECT_EQ(response.calls(), 3u);
  EXPECT_EQ(response.threads(), 1u);
  EXPECT_EQ(response.functions_called(), 2u);
  EXPECT_EQ(response.paths(), 2u);
  EXPECT_EQ(response.span_ns(), 100u);
  ASSERT_EQ(response.processes_size(), 1);
  EXPECT_EQ(response.processes(0).outcome().exit_code(), 3);
  ASSERT_EQ(response.top_functions_size(), 2);
  EXPECT_EQ(response.top_functions(0).function().name(), "main");
  EXPECT_EQ(response.completeness().calls_recorded(), 3u);
}

TEST_F(QueryServerTest, list_functions__then_pages_join_to_the_whole) {
  query::v1::ListFunctionsRequest request;
  request.set_order_by(query::v1::FUNCTION_ORDER_CALLS);
  request.set_page_size(1);
  query::v1::ListFunctionsResponse first;
  ASSERT_TRUE(ListFunctions(request, first).ok());
  ASSERT_EQ(first.functions_size(), 1);
  EXPECT_EQ(first.functions(0).function().name(), "parse");
  EXPECT_EQ(first.functions(0).statistics().calls(), 2u);
  EXPECT_EQ(first.functions(0).statistics().total_ns(), 30u);
  EXPECT_EQ(first.functions(0).statistics().min_ns(), 10u);
  EXPECT_EQ(first.functions(0).statistics().max_ns(), 20u);
  EXPECT_EQ(first.total_size(), 2u);
  request.set_page_token(first.next_page_token());
  query::v1::ListFunctionsResponse second;
  ASSERT_TRUE(ListFunctions(request, second).ok());
  ASSERT_EQ(second.functions_size(), 1);
  EXPECT_EQ(second.functions(0).function().name(), "main");
  EXPECT_EQ(second.next_page_token(), "");
}

TEST_F(QueryServerTest, page_token_of_another_order__then_is_refused) {
  query::v1::ListFunctionsRequest request;
  request.set_page_token("calls-2-0000000000000002");
  query::v1::ListFunctionsResponse response;
  const grpc::Status status = ListFunctions(request, response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("page_token"));
}

TEST_F(QueryServerTest, call_tree_of_callers__then_grows_from_the_function_up) {
  grpc::ClientContext context;
  query::v1::CallTreeRequest request;
  request.set_recording(kRecording);
  request.set_direction(query::v1::TREE_DIRECTION_CALLERS);
  request.set_function("parse");
  query::v1::CallTreeResponse response;
  ASSERT_TRUE(stub_->CallTree(&context, request, &response).ok());
  ASSERT_EQ(response.nodes_size(), 2);
  EXPECT_EQ(response.nodes(0).function_name(), "parse");
  EXPECT_EQ(response.nodes(0).calls(), 2u);
  EXPECT_EQ(response.nodes(1).function_name(), "main");
  EXPECT_EQ(response.nodes(1).parent_path_id(), response.nodes(0).path_id());
}

TEST_F(QueryServerTest, call_tree_of_values_out_of_range__then_error_names_field_and_value) {
  query::v1::CallTreeRequest depth;
  depth.set_max_depth(-3);
  query::v1::CallTreeRequest share;
  share.set_min_share(1.5);
  query::v1::CallTreeRequest direction;
  direction.set_direction(static_cast<query::v1::TreeDirection>(9));
  for (auto& [request, text] : {std::pair(&depth, "max_depth: must be 0 or more, got -3"),
                                std::pair(&share, "min_share: must be 0 to 1, got 1.5"),
                                std::pair(&direction, "direction: unknown direction 9")}) {
    request->set_recording(kRecording);
    grpc::ClientContext context;
    query::v1::CallTreeResponse response;
    const grpc::Status status = stub_->CallTree(&context, *request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(status.error_message(), text);
  }
}

TEST_F(QueryServerTest, sql__then_schema_rows_and_end_come) {
  const SqlAnswer answer =
      Sql("SELECT f.name, count(*) FROM calls c JOIN functions f USING (function_id) GROUP BY 1 "
          "ORDER BY 1");
  ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_THAT(answer.columns, ElementsAre("name VARCHAR", "count_star() BIGINT"));
  ASSERT_EQ(answer.rows.size(), 2u);
  EXPECT_EQ(answer.rows[1].values(0).text_value(), "parse");
  EXPECT_EQ(answer.rows[1].values(1).int_value(), 2);
  ASSERT_TRUE(answer.has_end);
  EXPECT_EQ(answer.end.rows(), 2);
  EXPECT_FALSE(answer.end.truncated());
  EXPECT_EQ(answer.end.completeness().calls_recorded(), 3u);
}

TEST_F(QueryServerTest, sql_of_many_rows__then_frames_stay_below_a_mebibyte) {
  const SqlAnswer answer = Sql("SELECT range, repeat('x', 1000) FROM range(20000)");
  ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_EQ(answer.rows.size(), 20000u);
  EXPECT_LT(answer.largest_frame, size_t{1} << 20);
}

TEST_F(QueryServerTest, more_rows_than_max_rows__then_end_says_truncated) {
  const SqlAnswer answer = Sql("FROM range(5000)", 3000);
  EXPECT_EQ(answer.rows.size(), 3000u);
  EXPECT_EQ(answer.end.rows(), 3000);
  EXPECT_TRUE(answer.end.truncated());
}

TEST_F(QueryServerTest, malformed_sql__then_invalid_argument_with_caret) {
  const SqlAnswer answer = Sql("SELECT nme FROM functions");
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(answer.status.error_message(), HasSubstr("LINE 1: SELECT nme FROM functions"));
  EXPECT_THAT(answer.status.error_message(), HasSubstr("^"));
  EXPECT_THAT(answer.status.error_message(), HasSubstr("name"));
}

TEST_F(QueryServerTest, caller_has_a_deadline__then_the_engine_stops_at_it) {
  const SqlAnswer answer = Sql(kEndless, 0, absl::Milliseconds(500));
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  // Nothing of it runs on: both places for statements are free again.
  EXPECT_TRUE(Sql("SELECT 1").status.ok());
  EXPECT_TRUE(Sql("SELECT 1").status.ok());
}

TEST_F(QueryServerTest, timeout_in_the_request__then_the_message_says_how_long) {
  grpc::ClientContext context;
  query::v1::SqlRequest request;
  request.set_recording(kRecording);
  request.set_statement(kEndless);
  request.mutable_timeout()->set_nanos(200'000'000);
  const SqlAnswer answer = Read(context, request);
  EXPECT_EQ(answer.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_THAT(answer.status.error_message(), HasSubstr("200ms"));
}

TEST_F(QueryServerTest, unknown_recording__then_not_found_of_the_backend) {
  query::v1::ListFunctionsRequest request;
  request.set_recording("recordings/nope");
  query::v1::ListFunctionsResponse response;
  const grpc::Status status = ListFunctions(request, response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("recordings/nope"));
}

TEST_F(QueryServerTest, backend_is_down__then_unavailable_names_its_address) {
  backend_.Stop();
  query::v1::ListFunctionsResponse response;
  const grpc::Status status = ListFunctions({}, response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr(backend_.address()));
}

TEST_F(QueryServerTest, sealed_recording_asked_many_times_at_once__then_is_loaded_once) {
  std::vector<std::thread> askers;
  for (int i = 0; i < 8; ++i) {
    askers.emplace_back([this] {
      query::v1::ListFunctionsResponse response;
      EXPECT_TRUE(ListFunctions({}, response).ok());
      EXPECT_EQ(response.functions_size(), 2);
    });
  }
  for (std::thread& asker : askers) asker.join();
  EXPECT_EQ(backend_.full_reads(), 1);
}

TEST_F(QueryServerTest, recording_grows__then_the_next_answer_has_the_new_calls) {
  backend_.SetState(kRecording, trace::v1::RECORDING_STATE_RECORDING);
  query::v1::ListFunctionsResponse before;
  ASSERT_TRUE(ListFunctions({}, before).ok());
  EXPECT_TRUE(before.completeness().still_recording());
  ASSERT_TRUE(ListFunctions({}, before).ok());
  EXPECT_EQ(backend_.full_reads(), 1);

  script_.Enter(200, 2).Leave(300);
  backend_.AddChunk(kRecording, script_.Seal());
  query::v1::ListFunctionsResponse after;
  ASSERT_TRUE(ListFunctions({}, after).ok());
  EXPECT_EQ(after.completeness().calls_recorded(), 4u);
  EXPECT_EQ(backend_.full_reads(), 2);
}

TEST_F(QueryServerTest, method_not_built__then_unimplemented_names_sql) {
  grpc::ClientContext context;
  query::v1::TimelineResponse response;
  const grpc::Status status = stub_->Timeline(&context, {}, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(status.error_message(),
            "Timeline is not built yet; use Sql over the tables calls, threads instead");
}

}  // namespace
}  // namespace flightrec::query_engine
