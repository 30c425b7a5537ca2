#include "services/flightrec/canary_command.h"

#include <memory>
#include <ostream>

#include "absl/random/random.h"
#include "absl/strings/str_format.h"
#include "common/clock/clock.h"
#include "common/metrics/http_server.h"
#include "common/rpc/listen_address.h"
#include "common/rpc/shutdown_signal.h"
#include "services/flightrec/canary.h"

namespace flightrec::cli {
namespace {

absl::StatusOr<std::unique_ptr<metrics::HttpServer>> ServeMetrics(
    const CommandLine& line, const metrics::Registry& registry) {
  if (line.metrics_listen.empty()) return std::unique_ptr<metrics::HttpServer>();
  absl::StatusOr<rpc::ListenAddress> address =
      rpc::ParseListenAddress(line.metrics_listen, "metrics_listen");
  if (!address.ok()) return address.status();
  return metrics::HttpServer::Start(address->host, address->port, &registry);
}

}  // namespace

absl::StatusOr<int> RunCanary(Connection& connection, const CommandLine& line, log::Logger& logger,
                              metrics::Registry& registry, std::ostream& out) {
  auto ingest = connection.Ingest();
  if (!ingest.ok()) return ingest.status();
  auto read = connection.Read();
  if (!read.ok()) return read.status();
  auto metrics_server = ServeMetrics(line, registry);
  if (!metrics_server.ok()) return metrics_server.status();
  absl::BitGen random;
  ids::UlidGenerator ids(clock::RealClock(), random);
  Canary canary(**ingest, **read, ids, clock::RealClock(), registry);
  rpc::ShutdownSignal shutdown;
  int failed = 0;
  for (int round = 1;; ++round) {
    const CanaryRound done = canary.Round();
    out << absl::StreamFormat(
               "%6d  %s  written in %.1f ms  read in %.1f ms  %s\n", round,
               done.recording.ToString(), absl::ToDoubleMilliseconds(done.write_time),
               absl::ToDoubleMilliseconds(done.read_time), done.status.ok() ? "ok" : "FAILED")
        << std::flush;
    if (!done.status.ok()) {
      ++failed;
      logger.Error("canary_failed",
                   {{"recording", done.recording.ToString()}, {"status", done.status}});
    }
    if (round == line.limit || !out.good() || shutdown.WaitFor(kCanaryPause) != 0) return failed;
  }
}

}  // namespace flightrec::cli
