// The text of an answer with isError: code, what was wrong, what to do next.
// Written for an agent that reads it once and calls again. Stateless.
#ifndef FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_TOOL_ERROR_H_
#define FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_TOOL_ERROR_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace flightrec::mcp_bridge {

inline constexpr size_t kMaxErrorBytes = 2000;

// `next_step` may be empty: the error's own details or its code then tell.
std::string DescribeError(const absl::Status& error, absl::string_view next_step);

}  // namespace flightrec::mcp_bridge

#endif  // FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_TOOL_ERROR_H_
