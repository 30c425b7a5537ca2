// list_recordings: which recordings there are. `engine` outlives the tool.
#ifndef FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_RECORDINGS_TOOL_H_
#define FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_RECORDINGS_TOOL_H_

#include "services/mcp_bridge/query/query_engine.h"
#include "services/mcp_bridge/tools/tool.h"

namespace flightrec::mcp_bridge {

Tool MakeRecordingsTool(QueryEngine* engine);

// The ids of the newest recordings, at most `limit`; empty when they cannot be
// had. For errors that name what there is.
std::vector<std::string> RecentRecordings(QueryEngine& engine, int limit,
                                          Cancellation& cancellation);

}  // namespace flightrec::mcp_bridge

#endif  // FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_RECORDINGS_TOOL_H_
