// The query engine as a process of its own.
#include <cstdio>
#include <string>

#include "absl/flags/flag.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/log/logger.h"
#include "common/metrics/registry.h"
#include "common/rpc/grpc_log.h"
#include "common/rpc/server_flags.h"
#include "common/rpc/shutdown_signal.h"
#include "services/query_engine/config.h"
#include "services/query_engine/query_server.h"

ABSL_FLAG(std::string, backend, "127.0.0.1:7072", "Where the backend listens.");
ABSL_FLAG(int64_t, memory_limit_mb, 4096, "Memory the engine may use for one recording, in MiB.");
ABSL_FLAG(int, engine_threads, 2, "Threads the engine may use for one recording.");
ABSL_FLAG(int, cached_recordings, 4, "Recordings kept in memory.");
ABSL_FLAG(int64_t, cached_mb, 8192, "Memory for all recordings kept, in MiB.");
ABSL_FLAG(absl::Duration, load_timeout, absl::Minutes(5), "Longest time to load a recording.");
ABSL_FLAG(int64_t, sql_default_rows, 100'000, "Rows of an SQL answer when the request is silent.");
ABSL_FLAG(int64_t, sql_max_rows, 10'000'000, "Most rows an SQL request may ask for.");
ABSL_FLAG(absl::Duration, sql_default_timeout, absl::Seconds(30),
          "Time for an SQL statement when the request is silent.");
ABSL_FLAG(absl::Duration, sql_max_timeout, absl::Minutes(10),
          "Longest time an SQL request may ask for.");
ABSL_FLAG(int, sql_max_statements, 16, "SQL statements that run at once.");

namespace {

constexpr int kPort = 7073;
constexpr int kMetricsPort = 8073;

flightrec::query_engine::Config ConfigFromFlags() {
  return {.server = flightrec::rpc::ServerConfigFromFlags(kPort, kMetricsPort),
          .backend = absl::GetFlag(FLAGS_backend),
          .backend_channel = flightrec::rpc::PeerChannelConfigFromFlags(),
          .memory_limit_bytes = absl::GetFlag(FLAGS_memory_limit_mb) << 20,
          .engine_threads = absl::GetFlag(FLAGS_engine_threads),
          .cached_recordings = absl::GetFlag(FLAGS_cached_recordings),
          .cached_bytes = absl::GetFlag(FLAGS_cached_mb) << 20,
          .load_timeout = absl::GetFlag(FLAGS_load_timeout),
          .default_rows = absl::GetFlag(FLAGS_sql_default_rows),
          .max_rows = absl::GetFlag(FLAGS_sql_max_rows),
          .default_timeout = absl::GetFlag(FLAGS_sql_default_timeout),
          .max_timeout = absl::GetFlag(FLAGS_sql_max_timeout),
          .max_statements = absl::GetFlag(FLAGS_sql_max_statements)};
}

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "query_engine: %s\n", std::string(status.message()).c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  flightrec::rpc::ParseServerFlags(argc, argv,
                                   "Answers questions about recordings that a backend holds.");
  const auto level = flightrec::rpc::LogLevelFromFlags();
  if (!level.ok()) return Fail(level.status());
  const auto config = flightrec::query_engine::Finalize(ConfigFromFlags());
  if (!config.ok()) return Fail(config.status());

  flightrec::log::Logger logger("query_engine", *level);
  flightrec::rpc::GrpcLogRoute grpc_log(&logger);
  flightrec::metrics::Registry registry;
  flightrec::rpc::ShutdownSignal shutdown;
  const auto server = flightrec::query_engine::QueryServer::Start(*config, &logger, &registry);
  if (!server.ok()) return Fail(server.status());
  shutdown.Wait();
  (*server)->Drain();
  return 0;
}
