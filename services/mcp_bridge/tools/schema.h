// Pieces of JSON Schema (2020-12) that the tools share. Stateless.
#ifndef FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_SCHEMA_H_
#define FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_SCHEMA_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "services/mcp_bridge/tools/tool.h"

namespace flightrec::mcp_bridge {

// An object of exactly `properties`.
Json ArgumentsSchema(Json properties, std::vector<std::string> required = {});
Json TextArgument(absl::string_view description, size_t max_bytes);
// `choices.front()` is the default.
Json ChoiceArgument(absl::string_view description, const std::vector<std::string>& choices);
Json IntegerArgument(absl::string_view description, int64_t low, int64_t high, int64_t standard);

Json RecordingArgument();
Json MaxTokensArgument();

// What every list answer has (see answer.h) plus `properties` and the list
// itself, `item_properties` being those of its items.
Json ListAnswerSchema(const std::string& key, Json item_properties, Json properties);
// Properties of a rendered FunctionStatistics.
Json FunctionProperties();
Json Text();
Json Count();
Json OpenObject();

}  // namespace flightrec::mcp_bridge

#endif  // FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_SCHEMA_H_
