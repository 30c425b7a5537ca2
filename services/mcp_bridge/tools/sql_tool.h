// sql: a read-only statement over a recording. `engine` outlives the tool.
#ifndef FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_SQL_TOOL_H_
#define FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_SQL_TOOL_H_

#include "services/mcp_bridge/query/query_engine.h"
#include "services/mcp_bridge/tools/tool.h"

namespace flightrec::mcp_bridge {

Tool MakeSqlTool(QueryEngine* engine);

}  // namespace flightrec::mcp_bridge

#endif  // FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_SQL_TOOL_H_
