// Finds the names a wrong one may have been meant for. Stateless.
#ifndef FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_NEAREST_H_
#define FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_NEAREST_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace flightrec::mcp_bridge {

inline constexpr size_t kMaxNearest = 5;

// Up to kMaxNearest of `names`, fewest edits first, joined by ", ".
std::string NearestNames(absl::string_view wrong, std::vector<std::string> names);

}  // namespace flightrec::mcp_bridge

#endif  // FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_NEAREST_H_
