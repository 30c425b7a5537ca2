#include "services/backend/recording_filter.h"

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/rpc/status.h"
#include "flightrec/trace/v1/trace.pb.h"

namespace flightrec::backend {
namespace {

constexpr absl::string_view kPrefix = "RECORDING_STATE_";

absl::Status NotUnderstood(absl::string_view text) {
  return rpc::InvalidField(
      "filter", absl::StrCat("expected `state = NAME` with NAME one of CREATED, ARMED, RECORDING, "
                             "DRAINING, SEALED, FAILED; got `",
                             text, "`"));
}

}  // namespace

absl::StatusOr<Store::RecordingFilter> ParseRecordingFilter(absl::string_view text) {
  absl::string_view rest = absl::StripAsciiWhitespace(text);
  if (rest.empty()) {
    return Store::RecordingFilter([](const trace::v1::Recording&) { return true; });
  }
  if (!absl::ConsumePrefix(&rest, "state")) return NotUnderstood(text);
  rest = absl::StripLeadingAsciiWhitespace(rest);
  if (!absl::ConsumePrefix(&rest, "=")) return NotUnderstood(text);
  rest = absl::StripLeadingAsciiWhitespace(rest);
  absl::ConsumePrefix(&rest, kPrefix);
  trace::v1::RecordingState state;
  if (!trace::v1::RecordingState_Parse(absl::StrCat(kPrefix, rest), &state) ||
      state == trace::v1::RECORDING_STATE_UNSPECIFIED) {
    return NotUnderstood(text);
  }
  return Store::RecordingFilter(
      [state](const trace::v1::Recording& recording) { return recording.state() == state; });
}

}  // namespace flightrec::backend
