#include "services/mcp_bridge/mcp_bridge_server.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "common/rpc/testing/query_echo.h"
#include "mcp/transport/v1/mcp.grpc.pb.h"

namespace flightrec::mcp_bridge {
namespace {

using mcp::transport::v1::SessionRequest;
using mcp::transport::v1::SessionResponse;

// A bridge and the query engine it asks, both real servers on loopback.
class McpBridgeServerTest : public testing::Test {
 protected:
  void SetUp() override {
    query_.Register(&echo_, rpc::kQueryServiceName);
    ASSERT_TRUE(query_.Start().ok());
    auto bridge = McpBridgeServer::Create({.query = query_.address()}, *rpc::Finalize({}), &logger_,
                                          &registry_);
    ASSERT_TRUE(bridge.ok()) << bridge.status();
    bridge_ = *std::move(bridge);
    ASSERT_TRUE(bridge_->server().Start().ok());
    stub_ = mcp::transport::v1::Mcp::NewStub(*rpc::MakeChannel(bridge_->server().address(), {}));
  }

  // Sends the messages after initialize, ends the stream, gives the last answer.
  nlohmann::json Ask(const std::vector<std::string>& messages) {
    grpc::ClientContext context;
    rpc::SetDeadline(context, absl::Seconds(10));
    auto stream = stub_->Session(&context);
    SessionRequest request;
    request.set_json(
        R"({"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25"}})");
    stream->Write(request);
    for (const std::string& message : messages) {
      request.set_json(message);
      stream->Write(request);
    }
    stream->WritesDone();
    SessionResponse response;
    std::string last;
    while (stream->Read(&response)) last = response.json();
    EXPECT_TRUE(stream->Finish().ok());
    return nlohmann::json::parse(last, nullptr, false);
  }

  log::Logger logger_{"test", log::Level::kError};
  metrics::Registry registry_;
  rpc::QueryEcho echo_;
  rpc::Server query_{*rpc::Finalize({}), "query_engine", &logger_, &registry_};
  std::unique_ptr<McpBridgeServer> bridge_;
  std::unique_ptr<mcp::transport::v1::Mcp::Stub> stub_;
};

constexpr char kListRecordings[] =
    R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_recordings"}})";

TEST_F(McpBridgeServerTest, tool_call_over_grpc__reaches_the_query_engine) {
  const auto answer =
      Ask({R"({"jsonrpc":"2.0","method":"notifications/initialized"})", kListRecordings});
  EXPECT_EQ(answer["id"], 1);
  EXPECT_EQ(answer["result"]["structuredContent"]["total"], 0);
}

TEST_F(McpBridgeServerTest, query_engine_away__is_told_with_its_address) {
  query_.Drain(absl::ZeroDuration());
  const auto result = Ask({kListRecordings})["result"];
  EXPECT_EQ(result["isError"], true);
  const std::string text = result["content"][0]["text"];
  EXPECT_TRUE(
      text.starts_with("UNAVAILABLE: the query engine at " + query_.address() + " does not answer"))
      << text;
}

TEST_F(McpBridgeServerTest, drain__ends_sessions_that_stay_open) {
  grpc::ClientContext context;
  auto stream = stub_->Session(&context);
  SessionRequest request;
  request.set_json(R"({"jsonrpc":"2.0","id":1,"method":"ping"})");
  stream->Write(request);
  SessionResponse response;
  ASSERT_TRUE(stream->Read(&response));
  bridge_->server().Drain(absl::InfiniteDuration());
  EXPECT_FALSE(stream->Read(&response));
  EXPECT_EQ(rpc::FromGrpcStatus(stream->Finish()).code(), absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace flightrec::mcp_bridge
