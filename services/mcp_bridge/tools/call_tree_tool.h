// call_tree: the tree of calling contexts of a recording. `engine` outlives the
// tool.
#ifndef FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_CALL_TREE_TOOL_H_
#define FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_CALL_TREE_TOOL_H_

#include <vector>

#include "services/mcp_bridge/query/query_engine.h"
#include "services/mcp_bridge/tools/tool.h"

namespace flightrec::mcp_bridge {

Tool MakeCallTreeTool(QueryEngine* engine);

// Positions of `nodes` depth first, siblings by total time, largest first. Nodes
// whose parent is absent count as roots.
std::vector<int> DepthFirst(
    const google::protobuf::RepeatedPtrField<query::v1::CallTreeNode>& nodes);

}  // namespace flightrec::mcp_bridge

#endif  // FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_CALL_TREE_TOOL_H_
