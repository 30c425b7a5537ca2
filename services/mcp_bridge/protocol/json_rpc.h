// JSON-RPC 2.0 messages as MCP uses them: one object a message, no batches.
// Stateless functions. Does not know any method.
#ifndef FLIGHTREC_SERVICES_MCP_BRIDGE_PROTOCOL_JSON_RPC_H_
#define FLIGHTREC_SERVICES_MCP_BRIDGE_PROTOCOL_JSON_RPC_H_

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <variant>

#include "absl/strings/string_view.h"

namespace flightrec::mcp_bridge {

// Keys keep the order they were set in, so that answers read the same always.
using Json = nlohmann::ordered_json;

inline constexpr int kParseError = -32700;
inline constexpr int kInvalidRequest = -32600;
inline constexpr int kMethodNotFound = -32601;
inline constexpr int kInvalidParams = -32602;
inline constexpr int kServerBusy = -32000;

// A request, or a notification when it has no id.
struct RpcRequest {
  // String or integer.
  std::optional<Json> id;
  std::string method;
  // An object; empty when absent.
  Json params = Json::object();
};

// A message that cannot be acted on, with the answer it deserves.
struct RpcRefusal {
  Json response;
};

// An answer to a request of ours; we make none, so it is ignored.
struct RpcForeignResponse {};

using RpcMessage = std::variant<RpcRequest, RpcRefusal, RpcForeignResponse>;

RpcMessage ParseRpcMessage(absl::string_view text);

Json RpcResult(const Json& id, Json result);
// `id` null when the request's id could not be read.
Json RpcError(const Json& id, int code, absl::string_view message);

// One line; bytes that are not UTF-8 are replaced.
std::string Serialize(const Json& message);

}  // namespace flightrec::mcp_bridge

#endif  // FLIGHTREC_SERVICES_MCP_BRIDGE_PROTOCOL_JSON_RPC_H_
