#include "services/mcp_bridge/tools/tool_error.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/rpc/status.h"
#include "services/mcp_bridge/tools/text.h"

namespace flightrec::mcp_bridge {
namespace {

absl::string_view NextByCode(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kNotFound:
      return "call list_recordings to see what there is";
    case absl::StatusCode::kInvalidArgument:
      return "correct the argument and call again";
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
      return "ask for less: lower limit or raise max_tokens";
    case absl::StatusCode::kUnimplemented:
      return "use sql or another tool instead";
    default:
      return "";
  }
}

}  // namespace

std::string DescribeError(const absl::Status& error, absl::string_view next_step) {
  const rpc::ErrorDetails details = rpc::DetailsOf(error);
  std::string text = absl::StrCat(absl::StatusCodeToString(error.code()), ": ", error.message());
  if (next_step.empty() && !absl::StrContains(text, details.next_step)) {
    next_step = details.next_step;
  }
  if (next_step.empty() && details.next_step.empty()) next_step = NextByCode(error.code());
  text = CutUtf8(text, kMaxErrorBytes);
  if (!details.reason.empty()) absl::StrAppend(&text, "\nreason: ", details.reason);
  for (const rpc::ErrorDetails::FieldViolation& field : details.fields) {
    absl::StrAppend(&text, "\nargument: ", field.field);
  }
  if (!next_step.empty()) absl::StrAppend(&text, "\nnext: ", next_step);
  return text;
}

}  // namespace flightrec::mcp_bridge
