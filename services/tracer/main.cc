#include <iostream>
#include <memory>
#include <string>

#include "absl/flags/flag.h"
#include "absl/time/time.h"
#include "common/log/logger.h"
#include "common/metrics/registry.h"
#include "common/rpc/grpc_log.h"
#include "common/rpc/server_flags.h"
#include "common/rpc/shutdown_signal.h"
#include "services/tracer/tracer_config.h"
#include "services/tracer/tracer_server.h"

ABSL_FLAG(std::string, backend, "127.0.0.1:7072", "where chunks go: host:port or unix:/path");
ABSL_FLAG(std::string, state_dir, flightrec::tracer::DefaultStateDirectory(),
          "directory on tmpfs for lanes and the control token");
ABSL_FLAG(uint32_t, max_threads, 64,
          "threads of a program recorded at once; the next ones are refused and counted");
ABSL_FLAG(uint32_t, lane_bytes, 1 << 20, "bytes of a thread's lane, a power of two");
ABSL_FLAG(uint32_t, max_depth, 131072,
          "calls nested deeper than this pass through and are counted");
ABSL_FLAG(uint64_t, spool_bytes, flightrec::tracer::kDefaultSpoolBytes,
          "bytes kept for a backend that is away; what does not fit is counted as lost");
ABSL_FLAG(absl::Duration, flush_deadline, flightrec::tracer::kDefaultFlushDeadline,
          "how long an ended recording waits for the backend");

namespace {

constexpr int kPort = 7071;
constexpr int kMetricsPort = 8071;

flightrec::tracer::TracerConfig ConfigFromFlags() {
  flightrec::tracer::TracerConfig config;
  config.server = flightrec::rpc::ServerConfigFromFlags(kPort, kMetricsPort);
  config.backend = absl::GetFlag(FLAGS_backend);
  config.backend_channel = flightrec::rpc::PeerChannelConfigFromFlags();
  config.state_directory = absl::GetFlag(FLAGS_state_dir);
  config.limits.threads = absl::GetFlag(FLAGS_max_threads);
  config.limits.ring_bytes = absl::GetFlag(FLAGS_lane_bytes);
  config.limits.shadow_entries = absl::GetFlag(FLAGS_max_depth);
  config.spool_bytes = absl::GetFlag(FLAGS_spool_bytes);
  config.flush_deadline = absl::GetFlag(FLAGS_flush_deadline);
  return config;
}

int Fail(const absl::Status& status) {
  std::cerr << "tracer: " << status.message() << "\n";
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  flightrec::rpc::ParseServerFlags(
      argc, argv,
      "starts programs with their functions hooked and streams their calls to a backend");
  absl::StatusOr<flightrec::log::Level> level = flightrec::rpc::LogLevelFromFlags();
  if (!level.ok()) return Fail(level.status());
  absl::StatusOr<flightrec::tracer::FinalizedTracerConfig> config =
      flightrec::tracer::Finalize(ConfigFromFlags());
  if (!config.ok()) return Fail(config.status());

  flightrec::log::Logger logger("tracer", *level);
  flightrec::rpc::GrpcLogRoute grpc_log(&logger);
  flightrec::metrics::Registry registry;
  flightrec::rpc::ShutdownSignal shutdown;
  auto server = flightrec::tracer::TracerServer::Start(*config, &logger, &registry);
  if (!server.ok()) return Fail(server.status());
  shutdown.Wait();
  (*server)->Drain();
  return 0;
}
