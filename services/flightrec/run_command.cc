#include "services/flightrec/run_command.h"

#include <grpcpp/grpcpp.h>

#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "services/flightrec/signal_forwarding.h"
#include "services/flightrec/views.h"

namespace flightrec::cli {
namespace {

// Reading the symbols of a very large program takes seconds.
constexpr absl::Duration kLaunchDeadline = absl::Minutes(2);
constexpr int64_t kWatchIntervalNanos = 500'000'000;

void SetFilter(const CommandLine& line, capture::v1::CallFilter& filter) {
  const timespec min_duration = absl::ToTimespec(line.min_duration);
  filter.mutable_min_duration()->set_seconds(min_duration.tv_sec);
  filter.mutable_min_duration()->set_nanos(static_cast<int32_t>(min_duration.tv_nsec));
  filter.set_max_depth(static_cast<uint32_t>(line.filter_depth));
  *filter.mutable_thread_names() = {line.thread_names.begin(), line.thread_names.end()};
}

absl::StatusOr<capture::v1::LaunchResponse> Launch(capture::v1::CaptureService::Stub& capture,
                                                   const CommandLine& line) {
  capture::v1::LaunchRequest request;
  *request.mutable_command() = {line.program.begin(), line.program.end()};
  *request.mutable_probes()->mutable_patterns() = {line.patterns.begin(), line.patterns.end()};
  request.mutable_probes()->set_trap_short_functions(line.trap_short_functions);
  request.mutable_limits()->set_threads(line.max_threads);
  request.mutable_limits()->set_lane_bytes(line.lane_bytes);
  SetFilter(line, *request.mutable_filter());
  request.set_clock_mode(line.coarse_clock ? capture::v1::CLOCK_MODE_COARSE
                                           : capture::v1::CLOCK_MODE_EXACT);
  grpc::ClientContext context;
  rpc::SetDeadline(context, kLaunchDeadline);
  capture::v1::LaunchResponse launched;
  grpc::Status asked = capture.Launch(&context, request, &launched);
  if (!asked.ok()) return rpc::FromGrpcStatus(asked);
  return launched;
}

// Follows the recording until it is sealed or has failed; the last state is returned.
absl::StatusOr<capture::v1::WatchRecordingResponse> WatchToTheEnd(
    capture::v1::CaptureService::Stub& capture, Connection& connection, const std::string& name) {
  // No deadline: a program may run for days.
  grpc::ClientContext context;
  capture::v1::WatchRecordingRequest request;
  request.set_recording(name);
  request.mutable_interval()->set_nanos(kWatchIntervalNanos);
  auto stream = capture.WatchRecording(&context, request);
  capture::v1::WatchRecordingResponse last;
  while (stream->Read(&last)) {
    absl::Status replaced = connection.ReplaceLostBackend();
    if (!replaced.ok()) std::cerr << "flightrec: " << replaced.message() << "\n";
  }
  grpc::Status ended = stream->Finish();
  if (!ended.ok()) return rpc::FromGrpcStatus(ended);
  return last;
}

int ExitCode(const trace::v1::Process& process) {
  constexpr int kSignalBase = 128;
  const trace::v1::Outcome& outcome = process.outcome();
  if (outcome.has_replaced_by_exec()) return outcome.exit_status_after_exec();
  return outcome.has_signal() ? kSignalBase + outcome.signal() : outcome.exit_code();
}

void PrintSummary(const trace::v1::Recording& recording, const CommandLine& line) {
  const std::string id = recording.name().substr(recording.name().rfind('/') + 1);
  std::cerr << "flightrec: " << GroupDigits(recording.completeness().calls_recorded())
            << " calls in recording " << id << "; see: flightrec report @latest\n";
  // What a person should know before trusting the numbers; refusals are in the report.
  trace::v1::Completeness losses = recording.completeness();
  losses.clear_refusals();
  const std::string missing = DescribeCompleteness(losses);
  if (!missing.empty() && line.output == OutputFormat::kTable) {
    std::cerr << "flightrec: " << absl::StrReplaceAll(missing, {{"\n", "\nflightrec: "}}) << "\n";
  }
}

}  // namespace

absl::StatusOr<int> Run(Connection& connection, const CommandLine& line) {
  auto capture = connection.Capture();
  if (!capture.ok()) return capture.status();
  // Another tracer's program is neither our child nor in this terminal: a signal ends the watching
  // only.
  absl::optional<SignalForwarding> signals;
  if (line.tracer.empty()) signals.emplace();
  absl::StatusOr<capture::v1::LaunchResponse> launched = Launch(**capture, line);
  if (!launched.ok()) return launched.status();
  if (signals.has_value()) signals->SetProgram(launched->process().pid());
  absl::StatusOr<capture::v1::WatchRecordingResponse> last =
      WatchToTheEnd(**capture, connection, launched->recording().name());
  if (!last.ok()) return last.status();
  if (last->recording().state() == trace::v1::RECORDING_STATE_FAILED) {
    std::cerr << "flightrec: the recording is incomplete: " << last->recording().failure() << "\n";
  }
  PrintSummary(last->recording(), line);
  return last->processes().empty() ? 0 : ExitCode(last->processes(0));
}

}  // namespace flightrec::cli
