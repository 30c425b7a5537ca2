// The backend's process: keeps what tracers record and gives it to query engines.
#include <iostream>
#include <memory>
#include <string>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/log/logger.h"
#include "common/metrics/registry.h"
#include "common/rpc/grpc_log.h"
#include "common/rpc/server_flags.h"
#include "common/rpc/shutdown_signal.h"
#include "services/backend/backend_config.h"
#include "services/backend/backend_server.h"

ABSL_FLAG(std::string, store, "", "Directory of the recordings; made when it is absent.");
ABSL_FLAG(int, max_sessions, flightrec::backend::IngestLimits().max_sessions,
          "Most producers' streams at once.");
ABSL_FLAG(int64_t, max_batch_bytes, flightrec::backend::IngestLimits().max_batch_bytes,
          "Largest batch that is kept.");
ABSL_FLAG(int64_t, session_credit_bytes, flightrec::backend::IngestLimits().session_credit_bytes,
          "Most bytes of batches that one producer may have under way.");
ABSL_FLAG(int64_t, max_bytes_in_flight, flightrec::backend::IngestLimits().max_bytes_in_flight,
          "Most bytes of batches that all producers may have under way, beyond one batch each.");
ABSL_FLAG(int64_t, max_recordings, flightrec::backend::IngestLimits().max_recordings,
          "Most recordings that are kept; no new one is taken beyond.");

ABSL_FLAG(int, max_tails, flightrec::backend::ReadLimits().max_tails,
          "Most readers that follow a recording at once.");
ABSL_FLAG(int, max_tail_lag_chunks, flightrec::backend::ReadLimits().max_tail_lag_chunks,
          "Chunks that such a reader may be behind before it misses some and is told which.");
ABSL_FLAG(absl::Duration, retention_age, flightrec::backend::RetentionLimits().age,
          "Recordings that ended so long ago are removed; 0: never.");
ABSL_FLAG(int64_t, retention_bytes, flightrec::backend::RetentionLimits().bytes,
          "Most bytes of chunks; the oldest recordings that are not in progress go; 0: no limit.");
ABSL_FLAG(absl::Duration, retention_interval, flightrec::backend::RetentionLimits().interval,
          "How often to look for recordings to remove.");
ABSL_FLAG(absl::Duration, undelete_window, flightrec::backend::RetentionLimits().undelete_window,
          "How long a deleted recording can be brought back.");

ABSL_FLAG(bool, rollups, true, "Make rollups of chunks, when nobody else wants the processor.");

namespace flightrec::backend {
namespace {

BackendConfig ConfigFromFlags() {
  BackendConfig config;
  config.server = rpc::ServerConfigFromFlags(kDefaultPort, kDefaultMetricsPort);
  config.store_directory = absl::GetFlag(FLAGS_store);
  config.ingest.max_sessions = absl::GetFlag(FLAGS_max_sessions);
  config.ingest.max_batch_bytes = absl::GetFlag(FLAGS_max_batch_bytes);
  config.ingest.session_credit_bytes = absl::GetFlag(FLAGS_session_credit_bytes);
  config.ingest.max_bytes_in_flight = absl::GetFlag(FLAGS_max_bytes_in_flight);
  config.ingest.max_recordings = absl::GetFlag(FLAGS_max_recordings);
  config.read.max_tails = absl::GetFlag(FLAGS_max_tails);
  config.read.max_tail_lag_chunks = absl::GetFlag(FLAGS_max_tail_lag_chunks);
  config.retention.age = absl::GetFlag(FLAGS_retention_age);
  config.retention.bytes = absl::GetFlag(FLAGS_retention_bytes);
  config.retention.interval = absl::GetFlag(FLAGS_retention_interval);
  config.retention.undelete_window = absl::GetFlag(FLAGS_undelete_window);
  config.rollups = absl::GetFlag(FLAGS_rollups);
  return config;
}

absl::Status Run() {
  absl::StatusOr<log::Level> level = rpc::LogLevelFromFlags();
  if (!level.ok()) return level.status();
  absl::StatusOr<FinalizedBackendConfig> config = Finalize(ConfigFromFlags());
  if (!config.ok()) return config.status();
  log::Logger logger("backend", *level);
  rpc::GrpcLogRoute grpc_log(&logger);
  metrics::Registry registry;
  rpc::ShutdownSignal shutdown;
  absl::StatusOr<std::unique_ptr<BackendServer>> backend =
      BackendServer::Start(*config, &logger, &registry);
  if (!backend.ok()) return backend.status();
  const int signal = shutdown.Wait();
  logger.Info("draining", {{"signal", signal}});
  (*backend)->Drain();
  return absl::OkStatus();
}

}  // namespace
}  // namespace flightrec::backend

int main(int argc, char** argv) {
  flightrec::rpc::ParseServerFlags(argc, argv,
                                   "keeps recordings and gives them out; --store=DIR names where");
  const absl::Status status = flightrec::backend::Run();
  if (status.ok()) return 0;
  std::cerr << "backend: " << status.message() << "\n";
  return 1;
}
