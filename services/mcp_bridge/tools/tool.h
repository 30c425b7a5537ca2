// What an MCP tool is here: its description for the agent, the schemas of its
// arguments and its answer, and the function that runs it. A value; `run` is
// called from several threads at once. Knows no JSON-RPC and no gRPC.
#ifndef FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_TOOL_H_
#define FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_TOOL_H_

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "services/mcp_bridge/query/cancellation.h"

namespace flightrec::mcp_bridge {

using Json = nlohmann::ordered_json;

// Agents choose worse among more tools, and every description costs them
// context.
inline constexpr size_t kMaxTools = 12;

struct Tool {
  std::string name;
  std::string title;
  std::string description;
  // JSON Schema objects. Arguments are checked against `input_schema` and its
  // defaults filled in before `run`.
  Json input_schema;
  Json output_schema;
  // Gives an object that fits `output_schema`. An error becomes an answer with
  // isError (see tool_error.h).
  std::function<absl::StatusOr<Json>(const Json& arguments, Cancellation& cancellation)> run;
  // What to do next when `run` fails; empty when the error says it all.
  std::function<std::string(const Json& arguments, const absl::Status& error)> next_step;
};

}  // namespace flightrec::mcp_bridge

#endif  // FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_TOOL_H_
