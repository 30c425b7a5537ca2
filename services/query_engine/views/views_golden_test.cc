// One recording, every view, the rows they give: testdata/views.golden changes
// only with a commit that says why.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "services/query_engine/engine/database.h"
#include "services/query_engine/load/recording_loader.h"
#include "services/query_engine/load/thread_script.h"
#include "services/query_engine/views/call_tree.h"
#include "services/query_engine/views/function_view.h"
#include "services/query_engine/views/overview_view.h"

namespace flightrec::query_engine {
namespace {

constexpr char kGolden[] = "services/query_engine/views/testdata/views.golden";

constexpr uint64_t kMain = 1;
constexpr uint64_t kParse = 2;
constexpr uint64_t kRead = 3;
constexpr uint64_t kWorker = 4;

// main calls parse, which calls itself and read; a read is lost. A worker calls
// read and never returns.
std::unique_ptr<Database> LoadFixture() {
  auto database = *Database::Open({.memory_bytes = int64_t{256} << 20, .threads = 1});
  const auto loader = *RecordingLoader::Create(*database);
  const char* names[] = {"", "main", "parse", "read", "worker", "never called"};
  for (uint64_t id = 1; id <= 5; ++id) {
    trace::v1::Function function;
    function.set_function_id(id);
    function.set_name(names[id]);
    EXPECT_EQ(loader->AddFunction(function), absl::OkStatus());
  }
  ThreadScript first(7);
  first.Enter(1000, kMain);
  for (uint64_t i = 1; i <= 3; ++i) {
    const uint64_t at = 1000 + i * 100;
    first.Enter(at, kParse).Enter(at + 10, kParse).Enter(at + 20, kRead).Leave(at + 20 + i);
    first.Leave(at + 40).Leave(at + 60);
  }
  first.Enter(1500, kRead).LeaveLost(1510).Leave(2000);
  ThreadScript second(8);
  second.Enter(1100, kWorker).Enter(1200, kRead).Leave(1700);
  EXPECT_EQ(loader->AddChunk(first.Seal(true)), absl::OkStatus());
  EXPECT_EQ(loader->AddChunk(second.Seal(true)), absl::OkStatus());
  EXPECT_EQ(loader->Finish(trace::v1::Recording()).status(), absl::OkStatus());
  return database;
}

std::string PrintOverview(Database& database) {
  const OverviewNumbers n = *CountOverview(database);
  return absl::StrCat("threads=", n.threads, " functions=", n.functions_called, " paths=", n.paths,
                      " calls=", n.calls, " span=", n.span_ns, "\n");
}

std::string PrintFunctions(Database& database, FunctionOrder order, const std::string& contains) {
  FunctionQuery query;
  query.order = order;
  query.name_contains = contains;
  const FunctionPage page = *ListFunctions(database, query);
  std::string text;
  for (const FunctionRow& row : page.rows) {
    const CallTotals& t = row.totals;
    absl::StrAppend(&text, row.function.name(), " calls=", t.calls, " timed=", t.calls_timed,
                    " total=", t.total_ns, " self=", t.self_ns, " min=", t.min_ns,
                    " p50=", t.p50_ns, " p90=", t.p90_ns, " p99=", t.p99_ns, " max=", t.max_ns,
                    "\n");
  }
  return absl::StrCat(text, "total_size=", page.total_size, "\n");
}

std::string PrintTree(const CallTree& tree) {
  std::string text;
  for (const CallTreeNode& node : tree.nodes) {
    absl::StrAppend(&text, std::string(2 * static_cast<size_t>(node.depth), ' '),
                    node.function_name, " calls=", node.calls, " total=", node.total_ns,
                    " self=", node.self_ns, "\n");
  }
  return absl::StrCat(text, "total_nodes=", tree.total_nodes,
                      " truncated=", tree.truncated ? "yes" : "no", "\n");
}

std::string PrintViews(Database& database) {
  return absl::StrCat(
      "# Overview\n", PrintOverview(database),  //
      "# ListFunctions by self\n", PrintFunctions(database, FunctionOrder::kSelf, ""),
      "# ListFunctions by calls, name holds \"a\"\n",
      PrintFunctions(database, FunctionOrder::kCalls, "a"),  //
      "# CallTree\n", PrintTree(*CalleeTree(database, {})),  //
      "# CallTree, max_nodes 3\n", PrintTree(*CalleeTree(database, {.max_nodes = 3})),
      "# CallTree, max_depth 0\n", PrintTree(*CalleeTree(database, {.max_depth = 0})),
      "# CallTree, min_share 0.3\n", PrintTree(*CalleeTree(database, {.min_share = 0.3})),
      "# CallTree, callers of read\n", PrintTree(*CallerTree(database, "read", {})),
      "# CallTree, callers of 0000000000000002\n",
      PrintTree(*CallerTree(database, "0000000000000002", {})));
}

TEST(Views, one_recording__then_rows_are_the_golden_ones) {
  const std::unique_ptr<Database> database = LoadFixture();
  std::ifstream file(kGolden);
  std::stringstream golden;
  golden << file.rdbuf();
  EXPECT_EQ(PrintViews(*database), golden.str());
}

TEST(Views, callers_of_an_unknown_function__then_not_found_with_near_names) {
  const std::unique_ptr<Database> database = LoadFixture();
  const absl::Status status = CallerTree(*database, "pares", {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "function: no function is named \"pares\"; did you mean parse");
}

TEST(CallerTree, name_without_its_arguments__then_that_function_is_named_first) {
  auto database = *Database::Open({.memory_bytes = int64_t{256} << 20, .threads = 1});
  const auto loader = *RecordingLoader::Create(*database);
  for (const char* name : {"orders::AssessRisk(orders::Order const&)",
                           "orders::ParseOrder(std::basic_string_view<char>)"}) {
    trace::v1::Function function;
    function.set_function_id(std::string(name).size());
    function.set_name(name);
    EXPECT_EQ(loader->AddFunction(function), absl::OkStatus());
  }
  EXPECT_EQ(loader->Finish(trace::v1::Recording()).status(), absl::OkStatus());
  for (const char* asked : {"orders::ParseOrder", "orders::ParseOrdr"}) {
    EXPECT_THAT(CallerTree(*database, asked, {}).status().message(),
                ::testing::HasSubstr("did you mean orders::ParseOrder("));
  }
}

TEST(CallerTree, callers_beyond_max_depth__then_only_the_first_level_of_them_is_climbed) {
  const auto database = LoadFixture();
  const CallTree tree = *CallerTree(*database, "read", {.max_depth = 0});
  ASSERT_EQ(tree.nodes.size(), 1u);
  EXPECT_TRUE(tree.truncated);
  // read, and those that call it: parse and worker.
  EXPECT_EQ(tree.total_nodes, 3u);
}

}  // namespace
}  // namespace flightrec::query_engine
