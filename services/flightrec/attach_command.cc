#include "services/flightrec/attach_command.h"

#include <grpcpp/grpcpp.h>

#include <iostream>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "common/rpc/channel.h"
#include "common/rpc/shutdown_signal.h"
#include "common/rpc/status.h"
#include "services/flightrec/recording_command.h"

namespace flightrec::cli {
namespace {

// Reading the symbols of a very large program takes seconds.
constexpr absl::Duration kAttachDeadline = absl::Minutes(2);

absl::StatusOr<capture::v1::AttachResponse> Ask(capture::v1::CaptureService::Stub& capture,
                                                const CommandLine& line) {
  capture::v1::AttachRequest request;
  request.set_target(line.target);
  SetRequest(line, request);
  grpc::ClientContext context;
  rpc::SetDeadline(context, kAttachDeadline);
  capture::v1::AttachResponse attached;
  grpc::Status asked = capture.Attach(&context, request, &attached);
  if (!asked.ok()) return rpc::FromGrpcStatus(asked);
  return attached;
}

absl::Status Stop(capture::v1::CaptureService::Stub& capture, const std::string& name) {
  capture::v1::StopRecordingRequest request;
  request.set_recording(name);
  // No deadline: it ends when everything is durable, or the tracer has given up waiting for that.
  grpc::ClientContext context;
  capture::v1::StopRecordingResponse stopped;
  return rpc::FromGrpcStatus(capture.StopRecording(&context, request, &stopped));
}

}  // namespace

absl::Status Attach(Connection& connection, const CommandLine& line) {
  auto capture = connection.Capture();
  if (!capture.ok()) return capture.status();
  rpc::ShutdownSignal interrupted;
  absl::StatusOr<capture::v1::AttachResponse> attached = Ask(**capture, line);
  if (!attached.ok()) return attached.status();
  const std::string name = attached->recording().name();
  std::cerr << "flightrec: recording process " << attached->process().pid() << ", "
            << attached->recording().completeness().functions_hooked()
            << " functions hooked; end it with Ctrl-C\n";
  absl::StatusOr<capture::v1::WatchRecordingResponse> last = absl::UnknownError("not watched");
  std::thread watch([&] {
    last = WatchToTheEnd(**capture, connection, name);
    interrupted.Notify();
  });
  if (line.duration > absl::ZeroDuration()) {
    interrupted.WaitFor(line.duration);
  } else {
    interrupted.Wait();
  }
  // Ended already: then this changes nothing.
  const absl::Status stopped = Stop(**capture, name);
  watch.join();
  if (!stopped.ok()) return stopped;
  if (!last.ok()) return last.status();
  PrintSummary(last->recording(), line);
  return absl::OkStatus();
}

}  // namespace flightrec::cli
