#include "services/tracer/tracer_service.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/rpc/status.h"
#include "services/tracer/agent/state.h"
#include "services/tracer/process_messages.h"
#include "services/tracer/recorder/dry_run.h"
#include "services/tracer/recorder/rate_meter.h"
#include "services/tracer/stub/call_cost.h"
#include "services/tracer/target/program.h"

namespace flightrec::tracer {
namespace {

constexpr absl::Duration kDefaultWatchInterval = absl::Seconds(1);
constexpr absl::Duration kMinWatchInterval = absl::Milliseconds(10);
constexpr absl::Duration kMaxWatchInterval = absl::Minutes(1);
// How soon a watcher notices that its client has gone.
constexpr absl::Duration kCancellationCheck = absl::Milliseconds(200);
constexpr absl::Duration kMaxMinDuration = absl::Hours(1);
constexpr int kDefaultPage = 50;
constexpr int kMaxPage = 1000;

std::vector<std::string> Strings(const google::protobuf::RepeatedPtrField<std::string>& field) {
  return {field.begin(), field.end()};
}

// services/decisions/0006-no-traps.md
absl::Status RefuseTraps(const capture::v1::ProbeSelection& probes) {
  if (!probes.trap_short_functions()) return absl::OkStatus();
  return absl::UnimplementedError(
      "trap_short_functions: a trap in a thread that blocks SIGTRAP would end the program; leave "
      "it "
      "out, functions too short for a jump are listed as TOO_SHORT");
}

absl::Status ReadFilter(const capture::v1::CallFilter& filter, RecordingSpec& spec) {
  constexpr size_t kLongest = agent::kMaxThreadGlobBytes - 1;
  spec.min_duration = absl::Seconds(filter.min_duration().seconds()) +
                      absl::Nanoseconds(filter.min_duration().nanos());
  if (spec.min_duration < absl::ZeroDuration() || spec.min_duration > kMaxMinDuration) {
    return rpc::InvalidField(
        "filter.min_duration",
        absl::StrCat(absl::FormatDuration(spec.min_duration), ": use 0 to 1h"));
  }
  spec.max_depth = filter.max_depth();
  spec.thread_names = Strings(filter.thread_names());
  if (spec.thread_names.size() > agent::kMaxThreadGlobs) {
    return rpc::InvalidField("filter.thread_names",
                             absl::StrCat(spec.thread_names.size(), " names: use at most ",
                                          agent::kMaxThreadGlobs, ", with * for more"));
  }
  for (const std::string& name : spec.thread_names) {
    if (name.empty() || name.size() > kLongest || name.find('\0') != std::string::npos) {
      return rpc::InvalidField("filter.thread_names",
                               absl::StrCat("'", name, "': use 1 to ", kLongest, " characters"));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadClockMode(capture::v1::ClockMode mode, RecordingSpec& spec) {
  if (!capture::v1::ClockMode_IsValid(mode)) {
    return rpc::InvalidField("clock_mode", absl::StrCat(static_cast<int>(mode),
                                                        ": use CLOCK_MODE_EXACT or "
                                                        "CLOCK_MODE_COARSE"));
  }
  spec.coarse_clock = mode == capture::v1::CLOCK_MODE_COARSE;
  return absl::OkStatus();
}

absl::Status ReadLimits(const capture::v1::LaneLimits& limits, RecordingSpec& spec) {
  if (limits.threads() != 0) spec.limits.threads = limits.threads();
  if (limits.depth() != 0) spec.limits.shadow_entries = limits.depth();
  if (limits.lane_bytes() > UINT32_MAX) {
    return rpc::InvalidField("limits.lane_bytes",
                             absl::StrCat(limits.lane_bytes(), " is beyond 4 GiB"));
  }
  if (limits.lane_bytes() != 0) spec.limits.ring_bytes = static_cast<uint32_t>(limits.lane_bytes());
  return absl::OkStatus();
}

// What LaunchRequest and AttachRequest have in common.
template <typename Request>
absl::Status ReadRequest(const Request& request, const lane::LaneLimits& defaults,
                         RecordingSpec& spec) {
  if (absl::Status refused = RefuseTraps(request.probes()); !refused.ok()) return refused;
  spec.patterns = Strings(request.probes().patterns());
  spec.limits = defaults;
  for (const auto& label : request.labels()) spec.labels.emplace_back(label.first, label.second);
  if (!request.recording_id().empty()) {
    absl::StatusOr<ids::Ulid> recording = ids::Ulid::Parse(request.recording_id());
    if (!recording.ok()) return rpc::InvalidField("recording_id", recording.status().message());
    spec.recording = *recording;
  }
  absl::Status read = ReadLimits(request.limits(), spec);
  if (read.ok()) read = ReadFilter(request.filter(), spec);
  if (read.ok()) read = ReadClockMode(request.clock_mode(), spec);
  return read;
}

absl::StatusOr<LaunchSpec> ToSpec(const capture::v1::LaunchRequest& request,
                                  const lane::LaneLimits& defaults) {
  LaunchSpec spec;
  if (absl::Status read = ReadRequest(request, defaults, spec); !read.ok()) return read;
  spec.command = Strings(request.command());
  spec.environment = Strings(request.environment());
  spec.working_directory = request.working_directory();
  if (request.command().empty())
    return rpc::InvalidField("command", "is empty: name the program to start");
  return spec;
}

absl::StatusOr<AttachSpec> ToSpec(const capture::v1::AttachRequest& request,
                                  const lane::LaneLimits& defaults) {
  AttachSpec spec;
  if (absl::Status read = ReadRequest(request, defaults, spec); !read.ok()) return read;
  spec.pid = request.pid();
  spec.target = request.target();
  if (spec.pid < 0 || (spec.pid == 0 && spec.target.empty())) {
    return rpc::InvalidField(
        "pid", absl::StrCat(spec.pid, ": use the number of a process, or a name as `target`"));
  }
  if (spec.pid != 0 && !spec.target.empty()) {
    return rpc::InvalidField("target", absl::StrCat(spec.target, ": there is a pid too, ", spec.pid,
                                                    "; use one of both"));
  }
  return spec;
}

absl::StatusOr<absl::Duration> WatchInterval(const capture::v1::WatchRecordingRequest& request) {
  if (!request.has_interval()) return kDefaultWatchInterval;
  const absl::Duration interval =
      absl::Seconds(request.interval().seconds()) + absl::Nanoseconds(request.interval().nanos());
  if (interval < kMinWatchInterval || interval > kMaxWatchInterval) {
    return rpc::InvalidField("interval",
                             absl::StrCat(absl::FormatDuration(interval), ": use 10ms to 1m"));
  }
  return interval;
}

capture::v1::WatchRecordingResponse ToResponse(CaptureState state, RateMeter& meter) {
  capture::v1::WatchRecordingResponse response;
  const trace::v1::Completeness& completeness = state.recording.completeness();
  const Rates rates =
      meter.Look({absl::Now(), state.calls,
                  completeness.calls_lost() + completeness.calls_too_deep(), OwnCpuTime()});
  response.set_calls(state.calls);
  response.set_calls_per_second(rates.calls_per_second);
  response.set_lost_calls_per_second(rates.lost_calls_per_second);
  response.set_program_overhead(rates.program_overhead);
  response.set_tracer_cpu(rates.tracer_cpu);
  response.set_spool_bytes(state.spool_bytes);
  response.set_durable_bytes(state.durable_bytes);
  *response.mutable_recording() = std::move(state.recording);
  for (trace::v1::Process& process : state.processes)
    *response.add_processes() = std::move(process);
  return response;
}

}  // namespace

TracerService::TracerService(Recorder* recorder, host::ProcessList* processes,
                             lane::LaneLimits default_limits)
    : recorder_(recorder), processes_(processes), default_limits_(default_limits) {}

grpc::Status TracerService::PlanProbes(grpc::ServerContext*,
                                       const capture::v1::PlanProbesRequest* request,
                                       capture::v1::PlanProbesResponse* response) {
  if (request->executable().empty()) {
    return rpc::ToGrpcStatus(
        rpc::InvalidField("executable", "is empty: give the path of a program"));
  }
  if (absl::Status refused = RefuseTraps(request->probes()); !refused.ok()) {
    return rpc::ToGrpcStatus(refused);
  }
  if (request->page_size() < 0) {
    return rpc::ToGrpcStatus(
        rpc::InvalidField("page_size", absl::StrCat(request->page_size(), ": use 0 or more")));
  }
  absl::StatusOr<capture::v1::PlanProbesResponse> plan =
      PlanExecutable(request->executable(), Strings(request->probes().patterns()),
                     target::OwnEnvironment(), {request->page_size(), request->page_token()});
  if (!plan.ok()) return rpc::ToGrpcStatus(plan.status());
  *response = *std::move(plan);
  return grpc::Status::OK;
}

grpc::Status TracerService::Launch(grpc::ServerContext*, const capture::v1::LaunchRequest* request,
                                   capture::v1::LaunchResponse* response) {
  absl::StatusOr<LaunchSpec> spec = ToSpec(*request, default_limits_);
  if (!spec.ok()) return rpc::ToGrpcStatus(spec.status());
  absl::StatusOr<CaptureState> state = recorder_->Launch(*spec);
  if (!state.ok()) return rpc::ToGrpcStatus(state.status());
  *response->mutable_recording() = std::move(state->recording);
  *response->mutable_process() = std::move(state->processes.front());
  return grpc::Status::OK;
}

grpc::Status TracerService::Attach(grpc::ServerContext* context,
                                   const capture::v1::AttachRequest* request,
                                   capture::v1::AttachResponse* response) {
  absl::StatusOr<AttachSpec> spec = ToSpec(*request, default_limits_);
  if (!spec.ok()) return rpc::ToGrpcStatus(spec.status());
  absl::StatusOr<CaptureState> state = recorder_->Attach(*spec);
  if (!state.ok()) return rpc::ToGrpcStatus(state.status());
  if (context->IsCancelled()) {
    // Nobody knows of this recording, so nobody would end it.
    const auto stopped =
        recorder_->Stop(state->recording.name(), /*terminate_program=*/false).status();
    if (!stopped.ok()) return rpc::ToGrpcStatus(stopped);
    return grpc::Status(grpc::StatusCode::CANCELLED, "the client has gone; the recording is ended");
  }
  *response->mutable_recording() = std::move(state->recording);
  *response->mutable_process() = std::move(state->processes.front());
  return grpc::Status::OK;
}

grpc::Status TracerService::UpdateProbes(grpc::ServerContext*,
                                         const capture::v1::UpdateProbesRequest* request,
                                         capture::v1::UpdateProbesResponse* response) {
  if (request->add_patterns().empty() && request->remove_patterns().empty()) {
    return rpc::ToGrpcStatus(rpc::InvalidField(
        "add_patterns", "is empty, and so is remove_patterns: name functions to hook or unhook"));
  }
  absl::StatusOr<ProbeUpdate> update = recorder_->UpdateProbes(
      request->recording(), Strings(request->add_patterns()), Strings(request->remove_patterns()));
  if (!update.ok()) return rpc::ToGrpcStatus(update.status());
  response->set_functions_hooked(update->functions_hooked);
  *response->mutable_refusals() = {update->refusals.begin(), update->refusals.end()};
  return grpc::Status::OK;
}

grpc::Status TracerService::SetTriggers(grpc::ServerContext*,
                                        const capture::v1::SetTriggersRequest*,
                                        capture::v1::SetTriggersResponse*) {
  return rpc::ToGrpcStatus(rpc::NotBuiltYet("CaptureService.SetTriggers"));
}

grpc::Status TracerService::TakeSnapshot(grpc::ServerContext*,
                                         const capture::v1::TakeSnapshotRequest*,
                                         capture::v1::TakeSnapshotResponse*) {
  return rpc::ToGrpcStatus(rpc::NotBuiltYet("CaptureService.TakeSnapshot"));
}

grpc::Status TracerService::StopRecording(grpc::ServerContext*,
                                          const capture::v1::StopRecordingRequest* request,
                                          capture::v1::StopRecordingResponse* response) {
  absl::StatusOr<CaptureState> state =
      recorder_->Stop(request->recording(), request->terminate_program());
  if (!state.ok()) return rpc::ToGrpcStatus(state.status());
  *response->mutable_recording() = std::move(state->recording);
  return grpc::Status::OK;
}

grpc::Status TracerService::ListProcesses(grpc::ServerContext*,
                                          const capture::v1::ListProcessesRequest* request,
                                          capture::v1::ListProcessesResponse* response) {
  const absl::StatusOr<host::ProcessQuery> query = ToProcessQuery(*request, recorder_->List());
  if (!query.ok()) return rpc::ToGrpcStatus(query.status());
  const absl::StatusOr<host::ProcessPage> page = processes_->List(*query);
  if (!page.ok()) return rpc::ToGrpcStatus(page.status());
  *response = ToResponse(*page);
  return grpc::Status::OK;
}

grpc::Status TracerService::ListCaptures(grpc::ServerContext*,
                                         const capture::v1::ListCapturesRequest* request,
                                         capture::v1::ListCapturesResponse* response) {
  if (request->page_size() < 0 || request->page_size() > kMaxPage) {
    return rpc::ToGrpcStatus(rpc::InvalidField(
        "page_size", absl::StrCat(request->page_size(), ": use 0 to ", kMaxPage)));
  }
  const int page_size = request->page_size() == 0 ? kDefaultPage : request->page_size();
  for (CaptureState& state : recorder_->List()) {
    // The token is the name of the last recording given: names sort by time, newest first.
    if (!request->page_token().empty() && state.recording.name() >= request->page_token()) continue;
    if (response->captures_size() == page_size) {
      response->set_next_page_token(response->captures(page_size - 1).recording().name());
      break;
    }
    capture::v1::Capture* capture = response->add_captures();
    *capture->mutable_recording() = std::move(state.recording);
    for (trace::v1::Process& process : state.processes)
      *capture->add_processes() = std::move(process);
  }
  return grpc::Status::OK;
}

grpc::Status TracerService::WatchRecording(
    grpc::ServerContext* context, const capture::v1::WatchRecordingRequest* request,
    grpc::ServerWriter<capture::v1::WatchRecordingResponse>* writer) {
  absl::StatusOr<absl::Duration> interval = WatchInterval(*request);
  if (!interval.ok()) return rpc::ToGrpcStatus(interval.status());
  // Not known: the estimate of the overhead is 0.
  RateMeter rate(stub::MeasureCallCost().value_or(0));
  absl::Time next_answer = absl::InfinitePast();
  while (!context->IsCancelled()) {
    const absl::Duration wait =
        std::min(std::max(next_answer - absl::Now(), absl::ZeroDuration()), kCancellationCheck);
    absl::StatusOr<CaptureState> state = recorder_->Await(request->recording(), wait);
    if (!state.ok()) return rpc::ToGrpcStatus(state.status());
    const bool ended = state->ended();
    if (!ended && absl::Now() < next_answer) continue;
    next_answer = absl::Now() + *interval;
    if (!writer->Write(ToResponse(*std::move(state), rate)) || ended) return grpc::Status::OK;
  }
  return grpc::Status(grpc::StatusCode::CANCELLED, "the watcher has gone");
}

}  // namespace flightrec::tracer
