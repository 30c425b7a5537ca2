#include "services/tracer/tracer_server.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/clock/calibration.h"
#include "common/clock/clock.h"
#include "common/private_directory/private_directory.h"
#include "common/rpc/control_token.h"
#include "services/tracer/recorder/left_process.h"

namespace flightrec::tracer {
namespace {

constexpr char kServiceName[] = "flightrec.capture.v1.CaptureService";
constexpr char kControlTokenName[] = "control_token";
constexpr size_t kMaxHostName = 256;

std::string HostName() {
  char name[kMaxHostName] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "unknown";
}

const std::string& DestinationOf(const TracerConfig& config) {
  return config.destination.empty() ? config.backend : config.destination;
}

RecordingEnvironment MakeEnvironment(const TracerConfig& config,
                                     const clock::Calibration& calibration,
                                     ids::UlidGenerator* ulids, ingest::IngestClient* ingest,
                                     lane::ClockPublisher* coarse_clock, log::Logger* logger) {
  RecordingEnvironment environment;
  environment.lane_directory = config.state_directory;
  environment.host = HostName();
  environment.inherited_descriptors = config.inherited_descriptors;
  environment.flush_deadline = config.flush_deadline;
  environment.calibration = calibration;
  environment.clock = &clock::RealClock();
  environment.coarse_clock = coarse_clock;
  environment.ulids = ulids;
  environment.ingest = ingest;
  environment.logger = logger;
  return environment;
}

ingest::IngestOptions MakeIngestOptions(const TracerConfig& config, ids::UlidGenerator& ulids) {
  ingest::IngestOptions options;
  options.producer_id = ulids.Generate().ToString();
  options.spool_bytes = config.spool_bytes;
  return options;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TracerServer>> TracerServer::Start(
    const FinalizedTracerConfig& config, log::Logger* logger, metrics::Registry* registry) {
  // Lanes hold what programs do and the token starts programs.
  absl::Status made = MakePrivateDirectory(config.config().state_directory, "--state_dir", "");
  if (!made.ok()) return made;
  absl::StatusOr<std::shared_ptr<grpc::Channel>> backend =
      rpc::MakeChannel(config.config().backend, config.config().backend_channel);
  if (!backend.ok()) return backend.status();
  absl::StatusOr<clock::Calibration> calibration = clock::Calibrate();
  if (!calibration.ok()) return calibration.status();
  std::unique_ptr<TracerServer> server(
      new TracerServer(config, *calibration, *std::move(backend), logger, registry));
  absl::Status recovered = server->Recover(config.config(), logger);
  if (!recovered.ok()) return recovered;
  absl::StatusOr<std::string> token = rpc::CreateControlToken(server->control_token_file_);
  if (!token.ok()) return token.status();
  server->server_.authenticator().RequireRole(absl::StrCat("/", kServiceName, "/"),
                                              rpc::Role::kControl);
  server->server_.authenticator().AcceptControlToken(*token);
  server->server_.Register(&server->service_, kServiceName);
  absl::Status started = server->server_.Start();
  if (!started.ok()) return started;
  return server;
}

TracerServer::TracerServer(const FinalizedTracerConfig& config,
                           const clock::Calibration& calibration,
                           std::shared_ptr<grpc::Channel> backend, log::Logger* logger,
                           metrics::Registry* registry)
    : control_token_file_(absl::StrCat(config.config().state_directory, "/", kControlTokenName)),
      state_directory_(config.config().state_directory),
      ulids_(clock::RealClock(), random_),
      ingest_(ingest::v1::IngestService::NewStub(backend),
              MakeIngestOptions(config.config(), ulids_), clock::RealClock(), ingest_random_,
              *logger),
      recorder_(std::make_unique<Recorder>(MakeEnvironment(config.config(), calibration, &ulids_,
                                                           &ingest_, &coarse_clock_, logger))),
      recovery_(recorder_.get(), &ingest_, DestinationOf(config.config())),
      service_(recorder_.get(), &processes_, config.config().limits),
      server_(config.server(), "tracer", logger, registry) {}

TracerServer::~TracerServer() {
  Drain();
  recovery_.Finish();
  // Another tracer's, then.
  if (state_lock_ == nullptr) return;
  unlink(control_token_file_.c_str());
  if (FindLeftProcesses(state_directory_).empty()) state_lock_->Remove();
}

absl::Status TracerServer::Recover(const TracerConfig& config, log::Logger* logger) {
  auto lock = StateLock::Take(config.state_directory);
  if (!lock.ok()) return lock.status();
  state_lock_ = *std::move(lock);
  const std::string& before = state_lock_->destination();
  if (!before.empty() && before != DestinationOf(config) &&
      !FindLeftProcesses(config.state_directory).empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(config.state_directory, " has recordings of a tracer that was killed, for ",
                     before, "; start with that one, or name another --state_dir"));
  }
  const absl::Status owned = state_lock_->Own(DestinationOf(config));
  if (!owned.ok()) return owned;
  const Recovery mode = config.clean ? Recovery::kClean : Recovery::kGoOn;
  recovered_ = recovery_.RecoverOwn(config.state_directory, mode);
  if (!config.neighbours.empty()) {
    const std::vector<Recovered> others =
        recovery_.RecoverOthers(config.neighbours, config.state_directory, mode);
    recovered_.insert(recovered_.end(), others.begin(), others.end());
  }
  for (const Recovered& one : recovered_)
    logger->Info("recovered", {{"what", one.what}, {"clean", one.clean}});
  return absl::OkStatus();
}

void TracerServer::Drain() {
  // Watchers end with their recordings.
  recorder_->StopAll();
  server_.Drain();
}

}  // namespace flightrec::tracer
