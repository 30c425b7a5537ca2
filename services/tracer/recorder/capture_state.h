// What the recorder and the tracer's API say to each other about one recording. Values, no threads.

#ifndef SERVICES_TRACER_RECORDER_CAPTURE_STATE_H_
#define SERVICES_TRACER_RECORDER_CAPTURE_STATE_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/ids/ulid.h"
#include "flightrec/trace/v1/trace.pb.h"
#include "services/tracer/lane/lane_file.h"

namespace flightrec::tracer {

// What to record of a program.
struct RecordingSpec {
  // Empty: all functions of the main executable.
  std::vector<std::string> patterns;
  // All zero: the recorder makes one.
  ids::Ulid recording;
  lane::LaneLimits limits;
  // Which calls get a record; see target/call_filter.h.
  absl::Duration min_duration;
  uint32_t max_depth = 0;
  std::vector<std::string> thread_names;
  bool coarse_clock = false;
  std::vector<std::pair<std::string, std::string>> labels;
};

// A program to start.
struct LaunchSpec : RecordingSpec {
  std::vector<std::string> command;
  // NAME=VALUE; empty: that of the tracer.
  std::vector<std::string> environment;
  // Empty: that of the tracer.
  std::string working_directory;
};

// A program that runs already.
struct AttachSpec : RecordingSpec {
  // 0: `target` says which process (host/resolve_target.h).
  pid_t pid = 0;
  std::string target;
};

// What is hooked after a change.
struct ProbeUpdate {
  uint64_t functions_hooked = 0;
  // Of those that the change asked for.
  std::vector<trace::v1::Refusal> refusals;
};

// A recording as it is at one moment.
struct CaptureState {
  trace::v1::Recording recording;
  std::vector<trace::v1::Process> processes;
  uint64_t calls = 0;
  // Of the whole tracer: all recordings share one stream.
  uint64_t spool_bytes = 0;
  uint64_t durable_bytes = 0;

  bool ended() const {
    return recording.state() == trace::v1::RECORDING_STATE_SEALED ||
           recording.state() == trace::v1::RECORDING_STATE_FAILED;
  }
};

}  // namespace flightrec::tracer

#endif  // SERVICES_TRACER_RECORDER_CAPTURE_STATE_H_
