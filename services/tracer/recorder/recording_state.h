// The life of a recording as a state machine. Values; not thread-safe (its owner guards it). Knows
// nothing of processes or lanes.
//
//   created -> armed -> recording -> draining -> sealed
//      |         |          |           |
//      '---------+----------+-----------'----> failed

#ifndef SERVICES_TRACER_RECORDER_RECORDING_STATE_H_
#define SERVICES_TRACER_RECORDER_RECORDING_STATE_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace flightrec::tracer {

enum class RecordingState { kCreated, kArmed, kRecording, kDraining, kSealed, kFailed };

absl::string_view StateName(RecordingState state);

class RecordingLife {
 public:
  RecordingState state() const { return state_; }
  bool ended() const {
    return state_ == RecordingState::kSealed || state_ == RecordingState::kFailed;
  }

  // FAILED_PRECONDITION names both states when there is no arrow between them.
  absl::Status Advance(RecordingState to);

 private:
  RecordingState state_ = RecordingState::kCreated;
};

}  // namespace flightrec::tracer

#endif  // SERVICES_TRACER_RECORDER_RECORDING_STATE_H_
