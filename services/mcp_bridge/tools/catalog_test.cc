#include "services/mcp_bridge/tools/catalog.h"

#include <gtest/gtest.h>

#include "common/rpc/status.h"
#include "services/mcp_bridge/testing/fake_query_engine.h"
#include "services/mcp_bridge/tools/answer.h"
#include "services/mcp_bridge/tools/call_tree_tool.h"

namespace flightrec::mcp_bridge {
namespace {

class CatalogTest : public testing::Test {
 protected:
  Json Result(const std::string& tool, const Json& arguments = Json::object()) {
    Cancellation cancellation;
    absl::StatusOr<Json> result = catalog_.Call(tool, arguments, cancellation);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.ok() ? *result : Json();
  }

  // The structured answer; the text beside it must say the same.
  Json Answer(const std::string& tool, const Json& arguments = Json::object()) {
    const Json result = Result(tool, arguments);
    EXPECT_FALSE(result.contains("isError")) << result.dump();
    EXPECT_EQ(Json::parse(result["content"][0]["text"].get<std::string>()),
              result["structuredContent"]);
    return result["structuredContent"];
  }

  std::string ErrorText(const std::string& tool, const Json& arguments = Json::object()) {
    const Json result = Result(tool, arguments);
    EXPECT_EQ(result["isError"], true);
    EXPECT_FALSE(result.contains("structuredContent"));
    return result["content"][0]["text"].get<std::string>();
  }

  FakeQueryEngine engine_;
  log::Logger logger_{"test", log::Level::kError};
  metrics::Registry registry_;
  Catalog catalog_{&engine_, &logger_, &registry_};
};

TEST_F(CatalogTest, tools__are_few_and_say_what_they_take_and_give) {
  const Json tools = catalog_.List();
  EXPECT_LE(tools.size(), kMaxTools);
  for (const Json& tool : tools) {
    EXPECT_EQ(tool["inputSchema"]["type"], "object") << tool["name"];
    EXPECT_TRUE(tool["inputSchema"]["properties"].contains("max_tokens")) << tool["name"];
    EXPECT_EQ(tool["outputSchema"]["type"], "object") << tool["name"];
  }
}

TEST_F(CatalogTest, list_recordings__golden) {
  engine_.AddRecording("01ARZ3NDEKTSV4RRFFQ69G5FAV");
  EXPECT_EQ(Answer("list_recordings").dump(),
            R"({"total":1,"returned":1,"truncated":false,"recordings":[)"
            R"({"id":"01ARZ3NDEKTSV4RRFFQ69G5FAV","state":"sealed",)"
            R"("start_time":"2026-01-02T03:04:05.000Z","command":"sample",)"
            R"("completeness":{"complete":true,"calls_recorded":7,"calls_lost":0}}]})");
}

TEST_F(CatalogTest, list_functions__golden) {
  engine_.AddFunction("main", 1);
  EXPECT_EQ(Answer("list_functions", {{"order_by", "p99"}, {"limit", 7}}).dump(),
            R"({"recording":"@latest","total":1,"returned":1,"truncated":false,"functions":[)"
            R"({"name":"main","function_id":"000000000000abc1","module":"sample","calls":1,)"
            R"("total_ns":10,"self_ns":10,"min_ns":10,"p50_ns":10,"p99_ns":10,"max_ns":10}],)"
            R"("completeness":{"complete":true,"calls_recorded":0}})");
  EXPECT_EQ(engine_.functions_request.recording(), "recordings/@latest");
  EXPECT_EQ(engine_.functions_request.order_by(), query::v1::FUNCTION_ORDER_P99);
  EXPECT_EQ(engine_.functions_request.page_size(), 7);
}

TEST_F(CatalogTest, answer_beyond_max_tokens__is_cut_and_says_how_to_go_on) {
  for (int i = 0; i < 100; ++i) engine_.AddFunction("function" + std::to_string(i), 1);
  const Json answer = Answer("list_functions", {{"limit", 100}, {"max_tokens", kMinMaxTokens}});
  EXPECT_LE(EstimateTokens(answer.dump()), static_cast<size_t>(kMinMaxTokens));
  EXPECT_EQ(answer["total"], 100);
  EXPECT_EQ(answer["returned"], answer["functions"].size());
  EXPECT_GT(answer["functions"].size(), 5u);
  EXPECT_EQ(answer["truncated"], true);
  EXPECT_EQ(answer["next"], "raise limit or max_tokens, or narrow with name_contains");
}

TEST_F(CatalogTest, frame_beyond_max_tokens__is_an_error) {
  engine_.overview->mutable_recording()->set_failure(std::string(200, '\x01'));
  engine_.overview->mutable_recording()->add_command(std::string(200, '\x01'));
  engine_.overview->mutable_recording()->add_patterns(std::string(200, '\x01'));
  EXPECT_TRUE(ErrorText("overview", {{"max_tokens", kMinMaxTokens}})
                  .starts_with("RESOURCE_EXHAUSTED: the answer takes "));
}

TEST_F(CatalogTest, overview__golden) {
  engine_.overview->mutable_recording()->set_name("recordings/X");
  engine_.overview->mutable_recording()->set_state(trace::v1::RECORDING_STATE_RECORDING);
  trace::v1::Process* process = engine_.overview->add_processes();
  process->set_process_id(5);
  process->set_pid(42);
  engine_.overview->set_calls(3);
  engine_.overview->set_threads(1);
  engine_.overview->set_functions_called(2);
  engine_.overview->mutable_completeness()->set_still_recording(true);
  EXPECT_EQ(Answer("overview").dump(),
            R"({"recording":{"id":"X","state":"recording"},"calls":3,"span_ns":0,"threads":1,)"
            R"("functions_called":2,"paths":0,"processes_total":1,"processes":[)"
            R"({"process_id":"0000000000000005","pid":42,"outcome":"running"}],)"
            R"("total":2,"returned":0,"truncated":true,"top_functions":[],)"
            R"("completeness":{"complete":false,"calls_recorded":0,"still_recording":true},)"
            R"("next":"list_functions has every function and other orders"})");
}

TEST_F(CatalogTest, call_tree__is_depth_first_with_the_largest_sibling_first) {
  engine_.AddNode(1, 99, 0, "main", 100);
  engine_.AddNode(2, 1, 1, "small", 10);
  engine_.AddNode(3, 1, 1, "large", 80);
  engine_.AddNode(4, 3, 2, "leaf", 70);
  std::string names;
  const Json answer = Answer("call_tree");
  for (const Json& node : answer["nodes"]) names += node["name"].get<std::string>() + " ";
  EXPECT_EQ(names, "main large leaf small ");
  EXPECT_EQ(answer["nodes"][2].dump(),
            R"({"depth":2,"name":"leaf","calls":1,"total_ns":70,"self_ns":35,)"
            R"("path_id":"0000000000000004"})");
}

TEST_F(CatalogTest, call_tree_beyond_max_tokens__keeps_the_nodes_with_the_most_time) {
  engine_.AddNode(1, 0, 0, "main", 1000000);
  for (uint64_t i = 0; i < 200; ++i) engine_.AddNode(10 + i, 1, 1, "f", 100 + i);
  const Json answer = Answer("call_tree", {{"max_tokens", kMinMaxTokens}});
  EXPECT_LE(EstimateTokens(answer.dump()), static_cast<size_t>(kMinMaxTokens));
  EXPECT_EQ(answer["total"], 201);
  EXPECT_EQ(answer["truncated"], true);
  EXPECT_EQ(answer["nodes"][0]["name"], "main");
  EXPECT_EQ(answer["nodes"][1]["total_ns"], 299);
  EXPECT_EQ(answer["returned"], answer["nodes"].size());
}

TEST_F(CatalogTest, callers_without_a_function__is_an_error_that_names_it) {
  EXPECT_EQ(ErrorText("call_tree", {{"direction", "callers"}}),
            "INVALID_ARGUMENT: function: is required for direction=callers; list_functions names "
            "them\nargument: function\nnext: correct the argument and call again");
}

TEST_F(CatalogTest, unknown_function__says_how_to_find_it) {
  engine_.tree = absl::NotFoundError("function: no function is named \"mian\"; did you mean main");
  EXPECT_EQ(ErrorText("call_tree", {{"function", "mian"}}),
            "NOT_FOUND: function: no function is named \"mian\"; did you mean main\n"
            "next: call list_functions with name_contains to find the name");
}

TEST_F(CatalogTest, sql__keeps_types_and_digits) {
  SqlAnswer answer;
  answer.columns.emplace_back().set_name("id");
  answer.columns.back().set_type("UBIGINT");
  query::v1::SqlRow& row = answer.rows.emplace_back();
  row.add_values()->set_uint_value(18446744073709551615u);
  row.add_values()->set_int_value(-7);
  row.add_values()->set_double_value(0.5);
  row.add_values()->set_text_value("a");
  row.add_values()->set_bool_value(true);
  row.add_values();
  answer.end.set_truncated(true);
  engine_.sql = answer;
  EXPECT_EQ(Answer("sql", {{"statement", "SELECT"}}).dump(),
            R"({"recording":"@latest","columns":["id UBIGINT"],"total":1,)"
            R"("total_is_lower_bound":true,"returned":1,"truncated":true,)"
            R"("rows":[["18446744073709551615",-7,0.5,"a",true,null]],)"
            R"("completeness":{"complete":true,"calls_recorded":0},)"
            R"("next":"aggregate, add WHERE, or raise max_rows or max_tokens"})");
}

TEST_F(CatalogTest, malformed_sql__names_the_tables) {
  engine_.sql = rpc::InvalidField("statement", "no table nowhere, line 1");
  const std::string text = ErrorText("sql", {{"statement", "SELECT * FROM nowhere"}});
  EXPECT_TRUE(
      text.starts_with("INVALID_ARGUMENT: statement: no table nowhere, line 1\n"
                       "argument: statement\nnext: correct the statement; the tables are "))
      << text;
}

TEST_F(CatalogTest, unknown_recording__names_the_nearest) {
  engine_.AddRecording("01ARZ3NDEKTSV4RRFFQ69G5FAX");
  engine_.overview = absl::NotFoundError("no recording 01ARZ3NDEKTSV4RRFFQ69G5FAV");
  EXPECT_EQ(ErrorText("overview", {{"recording", "01ARZ3NDEKTSV4RRFFQ69G5FAV"}}),
            "NOT_FOUND: no recording 01ARZ3NDEKTSV4RRFFQ69G5FAV\n"
            "next: call list_recordings to see what there is\n"
            "nearest recordings: 01ARZ3NDEKTSV4RRFFQ69G5FAX");
}

TEST_F(CatalogTest, nearest_recordings_named_by_the_engine__are_not_repeated) {
  engine_.AddRecording("01ARZ3NDEKTSV4RRFFQ69G5FAX");
  engine_.overview = rpc::WithReason(absl::NotFoundError("recordings/X not found"),
                                     "RECORDING_NOT_FOUND", "nearest: recordings/Y");
  EXPECT_EQ(ErrorText("overview", {{"recording", "X"}}),
            "NOT_FOUND: recordings/X not found; nearest: recordings/Y\n"
            "reason: RECORDING_NOT_FOUND");
}

TEST_F(CatalogTest, unknown_tool__is_not_found) {
  Cancellation cancellation;
  EXPECT_EQ(catalog_.Call("sqll", Json::object(), cancellation).status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace flightrec::mcp_bridge
