#include "services/tracer/recorder/recording_state.h"

#include "absl/strings/str_cat.h"

namespace flightrec::tracer {

absl::string_view StateName(RecordingState state) {
  switch (state) {
    case RecordingState::kCreated:
      return "created";
    case RecordingState::kArmed:
      return "armed";
    case RecordingState::kRecording:
      return "recording";
    case RecordingState::kDraining:
      return "draining";
    case RecordingState::kSealed:
      return "sealed";
    case RecordingState::kFailed:
      return "failed";
  }
  return "unknown";
}

absl::Status RecordingLife::Advance(RecordingState to) {
  const bool next_step =
      static_cast<int>(to) == static_cast<int>(state_) + 1 && to != RecordingState::kFailed;
  const bool failure = to == RecordingState::kFailed && !ended();
  if (!next_step && !failure) {
    return absl::FailedPreconditionError(
        absl::StrCat("the recording is ", StateName(state_), " and cannot become ", StateName(to)));
  }
  state_ = to;
  return absl::OkStatus();
}

}  // namespace flightrec::tracer
