#include "services/mcp_bridge/protocol/json_rpc.h"

#include <gtest/gtest.h>

namespace flightrec::mcp_bridge {
namespace {

std::string RefusalOf(const char* text) {
  const RpcMessage message = ParseRpcMessage(text);
  const auto* refusal = std::get_if<RpcRefusal>(&message);
  return refusal == nullptr ? "" : Serialize(refusal->response);
}

TEST(ParseRpcMessage, request__keeps_id_method_and_params) {
  const RpcMessage message =
      ParseRpcMessage(R"({"jsonrpc":"2.0","id":"a","method":"m","params":{"x":1}})");
  const RpcRequest& request = std::get<RpcRequest>(message);
  EXPECT_EQ(*request.id, "a");
  EXPECT_EQ(request.method, "m");
  EXPECT_EQ(request.params["x"], 1);
}

TEST(ParseRpcMessage, notification__has_no_id) {
  const RpcMessage message = ParseRpcMessage(R"({"jsonrpc":"2.0","method":"n"})");
  EXPECT_FALSE(std::get<RpcRequest>(message).id.has_value());
}

TEST(ParseRpcMessage, answer_to_nothing_we_asked__is_recognized) {
  EXPECT_TRUE(std::holds_alternative<RpcForeignResponse>(
      ParseRpcMessage(R"({"jsonrpc":"2.0","id":1,"result":{}})")));
}

TEST(ParseRpcMessage, malformed__is_refused_with_the_code_of_json_rpc) {
  EXPECT_EQ(
      RefusalOf("{"),
      R"({"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"the message is not JSON"}})");
  EXPECT_EQ(
      RefusalOf(R"({"jsonrpc":"1.0","id":7,"method":"m"})"),
      R"({"jsonrpc":"2.0","id":7,"error":{"code":-32600,"message":"'jsonrpc' must be \"2.0\""}})");
  EXPECT_EQ(
      RefusalOf(R"({"jsonrpc":"2.0","id":7,"method":"m","params":[]})"),
      R"({"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"'params' must be an object"}})");
  for (const char* text :
       {"[]", "3", R"({"jsonrpc":"2.0","id":1})", R"({"jsonrpc":"2.0","id":null,"method":"m"})",
        R"({"jsonrpc":"2.0","id":1.5,"method":"m"})"}) {
    EXPECT_NE(RefusalOf(text).find("\"code\":-32600"), std::string::npos) << text;
  }
}

TEST(Serialize, bytes_that_are_not_utf8__are_replaced) {
  EXPECT_EQ(Serialize({{"x", "a\xff"}}), "{\"x\":\"a\xEF\xBF\xBD\"}");
}

}  // namespace
}  // namespace flightrec::mcp_bridge
