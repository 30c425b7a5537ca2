#include "services/mcp_bridge/tools/arguments.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "common/rpc/status.h"
#include "services/mcp_bridge/tools/nearest.h"
#include "services/mcp_bridge/tools/text.h"

namespace flightrec::mcp_bridge {
namespace {

// An offending value is quoted up to here.
constexpr size_t kMaxQuotedBytes = 100;

bool HasType(const Json& value, const std::string& type) {
  if (type == "string") return value.is_string();
  if (type == "integer") return value.is_number_integer();
  if (type == "number") return value.is_number();
  if (type == "boolean") return value.is_boolean();
  return false;
}

absl::Status Wrong(const std::string& name, const Json& value, absl::string_view expected) {
  return rpc::InvalidField(name, absl::StrCat("must be ", expected, ", got ",
                                              CutUtf8(DumpJson(value), kMaxQuotedBytes)));
}

absl::Status CheckRange(const std::string& name, const Json& value, const Json& property) {
  const bool low = property.contains("minimum") && value < property["minimum"];
  const bool high = property.contains("maximum") && value > property["maximum"];
  if (!low && !high) return absl::OkStatus();
  return Wrong(name, value,
               absl::StrCat(DumpJson(property.value("minimum", Json("-inf"))), "..",
                            DumpJson(property.value("maximum", Json("inf")))));
}

absl::Status CheckValue(const std::string& name, const Json& value, const Json& property) {
  const std::string type = property["type"].get<std::string>();
  if (!HasType(value, type)) return Wrong(name, value, absl::StrCat("of type ", type));
  if (property.contains("enum")) {
    for (const Json& choice : property["enum"]) {
      if (choice == value) return absl::OkStatus();
    }
    return Wrong(name, value, absl::StrCat("one of ", DumpJson(property["enum"])));
  }
  if (property.contains("maxLength") &&
      value.get_ref<const std::string&>().size() > property["maxLength"].get<size_t>()) {
    return Wrong(name, value,
                 absl::StrCat("at most ", property["maxLength"].get<size_t>(), " bytes"));
  }
  return value.is_number() ? CheckRange(name, value, property) : absl::OkStatus();
}

absl::Status UnknownArgument(const std::string& name, const Json& properties) {
  std::vector<std::string> names;
  for (const auto& [known, unused] : properties.items()) names.push_back(known);
  return rpc::InvalidField(
      name, absl::StrCat("is no argument of this tool; nearest: ", NearestNames(name, names)));
}

}  // namespace

absl::StatusOr<Json> CheckArguments(const Json& schema, const Json& arguments) {
  const Json& properties = schema["properties"];
  for (const auto& [name, value] : arguments.items()) {
    if (!properties.contains(name)) return UnknownArgument(name, properties);
    if (absl::Status s = CheckValue(name, value, properties[name]); !s.ok()) return s;
  }
  for (const Json& name : schema.value("required", Json::array())) {
    if (!arguments.contains(name.get_ref<const std::string&>())) {
      return rpc::InvalidField(name.get_ref<const std::string&>(), "is required");
    }
  }
  Json complete = arguments;
  for (const auto& [name, property] : properties.items()) {
    if (!complete.contains(name) && property.contains("default")) {
      complete[name] = property["default"];
    }
  }
  return complete;
}

}  // namespace flightrec::mcp_bridge
