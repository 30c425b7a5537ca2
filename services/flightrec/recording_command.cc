#include "services/flightrec/recording_command.h"

#include <grpcpp/grpcpp.h>

#include <iostream>

#include "absl/strings/str_replace.h"
#include "absl/time/time.h"
#include "common/rpc/status.h"
#include "services/flightrec/views.h"

namespace flightrec::cli {
namespace {

constexpr int64_t kWatchIntervalNanos = 500'000'000;

}  // namespace

void SetFilter(const CommandLine& line, capture::v1::CallFilter& filter) {
  const timespec min_duration = absl::ToTimespec(line.min_duration);
  filter.mutable_min_duration()->set_seconds(min_duration.tv_sec);
  filter.mutable_min_duration()->set_nanos(static_cast<int32_t>(min_duration.tv_nsec));
  filter.set_max_depth(static_cast<uint32_t>(line.filter_depth));
  *filter.mutable_thread_names() = {line.thread_names.begin(), line.thread_names.end()};
}

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

void PrintSummary(const trace::v1::Recording& recording, const CommandLine& line) {
  if (recording.state() == trace::v1::RECORDING_STATE_FAILED) {
    std::cerr << "flightrec: the recording is incomplete: " << recording.failure() << "\n";
  }
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

}  // namespace flightrec::cli
