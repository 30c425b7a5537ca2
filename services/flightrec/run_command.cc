#include "services/flightrec/run_command.h"

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "services/flightrec/recording_command.h"
#include "services/flightrec/signal_forwarding.h"

namespace flightrec::cli {
namespace {

// Reading the symbols of a very large program takes seconds.
constexpr absl::Duration kLaunchDeadline = absl::Minutes(2);

absl::StatusOr<capture::v1::LaunchResponse> Launch(capture::v1::CaptureService::Stub& capture,
                                                   const CommandLine& line) {
  capture::v1::LaunchRequest request;
  *request.mutable_command() = {line.program.begin(), line.program.end()};
  SetRequest(line, request);
  grpc::ClientContext context;
  rpc::SetDeadline(context, kLaunchDeadline);
  capture::v1::LaunchResponse launched;
  grpc::Status asked = capture.Launch(&context, request, &launched);
  if (!asked.ok()) return rpc::FromGrpcStatus(asked);
  return launched;
}

int ExitCode(const trace::v1::Process& process) {
  constexpr int kSignalBase = 128;
  const trace::v1::Outcome& outcome = process.outcome();
  if (outcome.has_replaced_by_exec()) return outcome.exit_status_after_exec();
  return outcome.has_signal() ? kSignalBase + outcome.signal() : outcome.exit_code();
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
  PrintSummary(last->recording(), line);
  return last->processes().empty() ? 0 : ExitCode(last->processes(0));
}

}  // namespace flightrec::cli
