// Checks a tool's arguments against its input schema and fills in defaults.
// Knows the part of JSON Schema that our schemas use: type, enum, minimum,
// maximum, maxLength, required, default, additionalProperties false. Stateless.
#ifndef FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_ARGUMENTS_H_
#define FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_ARGUMENTS_H_

#include <string>

#include "absl/status/statusor.h"
#include "services/mcp_bridge/tools/tool.h"

namespace flightrec::mcp_bridge {

// INVALID_ARGUMENT names the argument, its value and what it may be.
absl::StatusOr<Json> CheckArguments(const Json& schema, const Json& arguments);

}  // namespace flightrec::mcp_bridge

#endif  // FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_ARGUMENTS_H_
