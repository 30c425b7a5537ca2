#include "services/mcp_bridge/tools/schema.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "services/mcp_bridge/tools/answer.h"

namespace flightrec::mcp_bridge {

Json Text() { return {{"type", "string"}}; }
Json Count() { return {{"type", "integer"}, {"minimum", 0}}; }
Json OpenObject() { return {{"type", "object"}}; }

Json ArgumentsSchema(Json properties, std::vector<std::string> required) {
  Json schema = {
      {"type", "object"}, {"properties", std::move(properties)}, {"additionalProperties", false}};
  if (!required.empty()) schema["required"] = required;
  return schema;
}

Json TextArgument(absl::string_view description, size_t max_bytes) {
  return {{"type", "string"}, {"description", std::string(description)}, {"maxLength", max_bytes}};
}

Json ChoiceArgument(absl::string_view description, const std::vector<std::string>& choices) {
  return {{"type", "string"},
          {"description", std::string(description)},
          {"enum", choices},
          {"default", choices.front()}};
}

Json IntegerArgument(absl::string_view description, int64_t low, int64_t high, int64_t standard) {
  return {{"type", "integer"},
          {"description", std::string(description)},
          {"minimum", low},
          {"maximum", high},
          {"default", standard}};
}

Json RecordingArgument() {
  return {{"type", "string"},
          {"description", "A recording's id (see list_recordings), or @latest."},
          {"maxLength", 64},
          {"default", "@latest"}};
}

Json MaxTokensArgument() {
  return IntegerArgument(
      absl::StrCat("Hard limit of the answer, estimated at ", kBytesPerToken, " bytes a token."),
      kMinMaxTokens, kMaxMaxTokens, kDefaultMaxTokens);
}

Json ListAnswerSchema(const std::string& key, Json item_properties, Json properties) {
  properties["total"] = Count();
  properties["total_is_lower_bound"] = {{"type", "boolean"}};
  properties["returned"] = Count();
  properties["truncated"] = {{"type", "boolean"}};
  properties["next"] = Text();
  properties[key] = {{"type", "array"},
                     {"items", {{"type", "object"}, {"properties", std::move(item_properties)}}}};
  return {{"type", "object"},
          {"properties", std::move(properties)},
          {"required", {"total", "returned", "truncated", key}}};
}

Json FunctionProperties() {
  return {{"name", Text()},      {"function_id", Text()}, {"module", Text()},
          {"source", Text()},    {"calls", Count()},      {"calls_timed", Count()},
          {"total_ns", Count()}, {"self_ns", Count()},    {"min_ns", Count()},
          {"p50_ns", Count()},   {"p99_ns", Count()},     {"max_ns", Count()}};
}

}  // namespace flightrec::mcp_bridge
