#include "services/mcp_bridge/protocol/json_rpc.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace flightrec::mcp_bridge {
namespace {

bool IsId(const Json& value) { return value.is_string() || value.is_number_integer(); }

RpcRefusal Refuse(const Json& id, int code, absl::string_view message) {
  return {RpcError(id, code, message)};
}

}  // namespace

RpcMessage ParseRpcMessage(absl::string_view text) {
  Json value = Json::parse(text.begin(), text.end(), nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return Refuse(nullptr, kParseError, "the message is not JSON");
  if (value.is_array()) {
    return Refuse(nullptr, kInvalidRequest,
                  "batches are not part of MCP; send one object a message");
  }
  if (!value.is_object()) return Refuse(nullptr, kInvalidRequest, "the message is not an object");
  const bool has_id = value.contains("id");
  const Json id = has_id && IsId(value["id"]) ? value["id"] : Json(nullptr);
  if (value.value("jsonrpc", Json()) != "2.0") {
    return Refuse(id, kInvalidRequest, "'jsonrpc' must be \"2.0\"");
  }
  if (!value.contains("method")) {
    if (value.contains("result") || value.contains("error")) return RpcForeignResponse{};
    return Refuse(id, kInvalidRequest, "'method' is missing");
  }
  if (!value["method"].is_string()) return Refuse(id, kInvalidRequest, "'method' must be a string");
  if (has_id && id.is_null()) {
    return Refuse(nullptr, kInvalidRequest, "'id' must be a string or an integer");
  }
  RpcRequest request;
  if (has_id) request.id = id;
  request.method = value["method"].get<std::string>();
  if (value.contains("params")) {
    if (!value["params"].is_object()) {
      return Refuse(id, kInvalidParams, "'params' must be an object");
    }
    request.params = std::move(value["params"]);
  }
  return request;
}

Json RpcResult(const Json& id, Json result) {
  return {{"jsonrpc", "2.0"}, {"id", id}, {"result", std::move(result)}};
}

Json RpcError(const Json& id, int code, absl::string_view message) {
  return {{"jsonrpc", "2.0"},
          {"id", id},
          {"error", {{"code", code}, {"message", std::string(message)}}}};
}

std::string Serialize(const Json& message) {
  return message.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

}  // namespace flightrec::mcp_bridge
