// The tracer put together: the only file of this service that constructs concrete types. Driven by
// one thread.

#ifndef SERVICES_TRACER_TRACER_SERVER_H_
#define SERVICES_TRACER_TRACER_SERVER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/random/random.h"
#include "absl/status/statusor.h"
#include "common/ids/ulid.h"
#include "common/log/logger.h"
#include "common/metrics/registry.h"
#include "common/rpc/server.h"
#include "services/tracer/host/process_list.h"
#include "services/tracer/ingest/ingest_client.h"
#include "services/tracer/lane/clock_publisher.h"
#include "services/tracer/recorder/recorder.h"
#include "services/tracer/recorder/recovery.h"
#include "services/tracer/recorder/state_lock.h"
#include "services/tracer/tracer_config.h"
#include "services/tracer/tracer_service.h"

namespace flightrec::tracer {

class TracerServer {
 public:
  // Serves when it returns. Does not wait for the backend: chunks are spooled until it is there.
  // `logger` and `registry` outlive the server.
  static absl::StatusOr<std::unique_ptr<TracerServer>> Start(const FinalizedTracerConfig& config,
                                                             log::Logger* logger,
                                                             metrics::Registry* registry);
  ~TracerServer();
  TracerServer(const TracerServer&) = delete;
  TracerServer& operator=(const TracerServer&) = delete;

  std::string address() const { return server_.address(); }
  // Who can read it may control processes through this tracer.
  const std::string& control_token_file() const { return control_token_file_; }

  // What was found of tracers that were killed, and what was done about it.
  const std::vector<Recovered>& recovered() const { return recovered_; }

  // Ends calls and recordings; programs run on.
  void Drain();

 private:
  TracerServer(const FinalizedTracerConfig& config, const clock::Calibration& calibration,
               std::shared_ptr<grpc::Channel> backend, log::Logger* logger,
               metrics::Registry* registry);

  absl::Status Recover(const TracerConfig& config, log::Logger* logger);

  const std::string control_token_file_;
  const std::string state_directory_;
  absl::BitGen random_;
  ids::UlidGenerator ulids_;
  // Of the stream's thread.
  absl::BitGen ingest_random_;
  ingest::IngestClient ingest_;
  lane::ClockPublisher coarse_clock_;
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<StateLock> state_lock_;
  StateRecovery recovery_;
  std::vector<Recovered> recovered_;
  host::ProcessList processes_;
  TracerService service_;
  rpc::Server server_;
};

}  // namespace flightrec::tracer

#endif  // SERVICES_TRACER_TRACER_SERVER_H_
