#include "services/mcp_bridge/protocol/session.h"

#include <gtest/gtest.h>

#include <vector>

#include "services/mcp_bridge/testing/fake_query_engine.h"

namespace flightrec::mcp_bridge {
namespace {

constexpr char kInitialize[] =
    R"({"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}})";
constexpr char kCallOverview[] =
    R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"overview"}})";

class SessionTest : public testing::Test {
 protected:
  // Sends `text` and gives what came back once every call has ended.
  Json Ask(const std::string& text) {
    session_.Receive(text);
    session_.WaitForCalls();
    return sent_.empty() ? Json() : sent_.back();
  }

  FakeQueryEngine engine_;
  log::Logger logger_{"test", log::Level::kError};
  metrics::Registry registry_;
  Catalog catalog_{&engine_, &logger_, &registry_};
  std::vector<Json> sent_;
  Session session_{&catalog_,
                   [this](const std::string& text) { sent_.push_back(Json::parse(text)); }};
};

TEST_F(SessionTest, initialize__tells_version_capabilities_and_server) {
  const Json result = Ask(kInitialize)["result"];
  EXPECT_EQ(result["protocolVersion"], "2025-11-25");
  EXPECT_EQ(result["capabilities"].dump(), R"({"tools":{"listChanged":false}})");
  EXPECT_EQ(result["serverInfo"]["name"], "flightrec");
}

TEST_F(SessionTest, older_version__is_taken) {
  EXPECT_EQ(Ask(R"({"jsonrpc":"2.0","id":0,"method":"initialize",
                    "params":{"protocolVersion":"2025-06-18"}})")["result"]["protocolVersion"],
            "2025-06-18");
}

TEST_F(SessionTest, unknown_version__is_answered_with_the_newest) {
  EXPECT_EQ(Ask(R"({"jsonrpc":"2.0","id":0,"method":"initialize",
                    "params":{"protocolVersion":"2099-01-01"}})")["result"]["protocolVersion"],
            "2025-11-25");
}

TEST_F(SessionTest, before_initialize__only_ping_is_answered) {
  EXPECT_EQ(Ask(R"({"jsonrpc":"2.0","id":1,"method":"ping"})")["result"], Json::object());
  EXPECT_EQ(Ask(R"({"jsonrpc":"2.0","id":2,"method":"tools/list"})")["error"]["code"],
            kInvalidRequest);
}

TEST_F(SessionTest, notifications__are_not_answered) {
  Ask(kInitialize);
  Ask(R"({"jsonrpc":"2.0","method":"notifications/initialized"})");
  Ask(R"({"jsonrpc":"2.0","method":"notifications/of_the_future"})");
  EXPECT_EQ(sent_.size(), 1u);
}

TEST_F(SessionTest, unknown_method__names_those_there_are) {
  Ask(kInitialize);
  EXPECT_EQ(Ask(R"({"jsonrpc":"2.0","id":2,"method":"tools/lists"})")["error"].dump(),
            R"({"code":-32601,"message":"no method 'tools/lists'; there are initialize, ping, )"
            R"(tools/list, tools/call"})");
}

TEST_F(SessionTest, unknown_tool__is_a_protocol_error_with_the_nearest) {
  Ask(kInitialize);
  const Json error = Ask(
      R"({"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"overviews"}})")["error"];
  EXPECT_EQ(error["code"], kInvalidParams);
  EXPECT_EQ(error["message"],
            "no tool 'overviews'; nearest: overview, call_tree, sql, list_recordings, "
            "list_functions");
}

TEST_F(SessionTest, cancelled_call__ends_without_an_answer) {
  Ask(kInitialize);
  engine_.block = true;
  session_.Receive(kCallOverview);
  engine_.blocked.WaitForNotification();
  Ask(R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}})");
  EXPECT_EQ(sent_.size(), 1u);
}

TEST_F(SessionTest, ping_while_a_call_runs__is_answered_at_once) {
  Ask(kInitialize);
  engine_.block = true;
  session_.Receive(kCallOverview);
  engine_.blocked.WaitForNotification();
  session_.Receive(R"({"jsonrpc":"2.0","id":2,"method":"ping"})");
  EXPECT_EQ(sent_.back()["id"], 2);
  session_.CancelAll();
}

TEST_F(SessionTest, id_of_a_running_call__is_refused) {
  Ask(kInitialize);
  engine_.block = true;
  session_.Receive(kCallOverview);
  session_.Receive(kCallOverview);
  EXPECT_EQ(sent_.back()["error"]["message"], "a call with id 1 is still running");
  session_.CancelAll();
}

TEST_F(SessionTest, calls_beyond_the_limit__are_refused) {
  Ask(kInitialize);
  engine_.block = true;
  for (size_t id = 1; id <= kMaxRunningCalls + 1; ++id) {
    session_.Receive(R"({"jsonrpc":"2.0","id":)" + std::to_string(id) +
                     R"(,"method":"tools/call","params":{"name":"overview"}})");
  }
  EXPECT_EQ(sent_.back()["error"]["code"], kServerBusy);
  session_.CancelAll();
}

}  // namespace
}  // namespace flightrec::mcp_bridge
