// Text as it goes into answers: valid UTF-8, bounded. Stateless.
#ifndef FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_TEXT_H_
#define FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"
#include "services/mcp_bridge/tools/tool.h"

namespace flightrec::mcp_bridge {

// At most `max_bytes` bytes, "..." included when something was cut; no
// character is split.
std::string CutUtf8(absl::string_view text, size_t max_bytes);

// One line; bytes that are not UTF-8 are replaced.
std::string DumpJson(const Json& value);

// 16 lower-case hex digits.
std::string HexId(uint64_t id);

}  // namespace flightrec::mcp_bridge

#endif  // FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_TEXT_H_
