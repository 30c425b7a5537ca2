// What the commands that record have in common: what they ask for, how they follow the recording,
// what they say in the end. For one thread, unless said otherwise.

#ifndef SERVICES_FLIGHTREC_RECORDING_COMMAND_H_
#define SERVICES_FLIGHTREC_RECORDING_COMMAND_H_

#include <string>

#include "absl/status/statusor.h"
#include "flightrec/capture/v1/capture.grpc.pb.h"
#include "services/flightrec/command_line.h"
#include "services/flightrec/connection.h"

namespace flightrec::cli {

void SetFilter(const CommandLine& line, capture::v1::CallFilter& filter);

// Of a LaunchRequest or an AttachRequest: all but the program.
template <typename Request>
void SetRequest(const CommandLine& line, Request& request) {
  *request.mutable_probes()->mutable_patterns() = {line.patterns.begin(), line.patterns.end()};
  request.mutable_probes()->set_trap_short_functions(line.trap_short_functions);
  request.mutable_limits()->set_threads(line.max_threads);
  request.mutable_limits()->set_lane_bytes(line.lane_bytes);
  SetFilter(line, *request.mutable_filter());
  request.set_clock_mode(line.coarse_clock ? capture::v1::CLOCK_MODE_COARSE
                                           : capture::v1::CLOCK_MODE_EXACT);
}

// Follows the recording until it is sealed or has failed; the last state is returned. On any
// thread.
absl::StatusOr<capture::v1::WatchRecordingResponse> WatchToTheEnd(
    capture::v1::CaptureService::Stub& capture, Connection& connection, const std::string& name);

// To stderr.
void PrintSummary(const trace::v1::Recording& recording, const CommandLine& line);

}  // namespace flightrec::cli

#endif  // SERVICES_FLIGHTREC_RECORDING_COMMAND_H_
