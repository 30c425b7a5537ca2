// Messages of the query contract as the JSON objects of answers: ids as 16 hex
// digits, times in ns, texts cut, nothing that is zero and says nothing.
// Stateless.
#ifndef FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_RENDER_H_
#define FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_RENDER_H_

#include <string>

#include "flightrec/query/v1/views.pb.h"
#include "flightrec/trace/v1/trace.pb.h"
#include "services/mcp_bridge/tools/tool.h"

namespace flightrec::mcp_bridge {

// Of lists inside a completeness; the numbers beside them count all.
inline constexpr int kMaxRefusals = 4;
inline constexpr int kMaxLostFunctions = 5;
inline constexpr int kMaxNotes = 3;

// "complete" is about the calls of hooked functions; functions that were not
// hooked are counted beside it.
Json RenderCompleteness(const trace::v1::Completeness& completeness);
Json RenderRecording(const trace::v1::Recording& recording);
Json RenderProcess(const trace::v1::Process& process);
Json RenderFunction(const query::v1::FunctionStatistics& function);

// "recordings/X" to "X" and back.
std::string RecordingId(const std::string& name);
std::string RecordingName(const std::string& id);

}  // namespace flightrec::mcp_bridge

#endif  // FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_RENDER_H_
