// Finds the services that a command needs, and runs those that nobody runs: the process that owns
// the store is asked when there is one, otherwise this process opens the store. One per command,
// used by one thread.

#ifndef SERVICES_FLIGHTREC_CONNECTION_H_
#define SERVICES_FLIGHTREC_CONNECTION_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/log/logger.h"
#include "common/metrics/registry.h"
#include "common/rpc/channel.h"
#include "common/rpc/endpoint_file.h"
#include "flightrec/admin/v1/admin.grpc.pb.h"
#include "flightrec/capture/v1/capture.grpc.pb.h"
#include "flightrec/ingest/v1/ingest.grpc.pb.h"
#include "flightrec/query/v1/query.grpc.pb.h"
#include "flightrec/read/v1/read.grpc.pb.h"
#include "services/flightrec/all_in_one.h"
#include "services/flightrec/command_line.h"

namespace flightrec::cli {

class Connection {
 public:
  // Which service a command asks. kCapture records with a tracer in this process, so that the
  // program keeps this terminal, unless the command line names another tracer. kRunningTracer asks
  // that of the process that owns the store, or the one named; NOT_FOUND without either.
  // kBackend needs the store only.
  enum class Need { kQuery, kBackend, kCapture, kRunningTracer };

  static absl::StatusOr<std::unique_ptr<Connection>> Open(const CommandLine& line, Need need,
                                                          log::Logger* logger,
                                                          metrics::Registry* registry);
  ~Connection();

  // How services are dialled, with this token.
  rpc::ChannelConfig Channel(const std::string& token_file) const;

  absl::StatusOr<std::unique_ptr<query::v1::QueryService::Stub>> Query();
  absl::StatusOr<std::unique_ptr<capture::v1::CaptureService::Stub>> Capture();
  absl::StatusOr<std::unique_ptr<read::v1::ReadService::Stub>> Read();
  absl::StatusOr<std::unique_ptr<ingest::v1::IngestService::Stub>> Ingest();
  absl::StatusOr<std::unique_ptr<admin::v1::AdminService::Stub>> Admin();

  // What the tracer here has found of killed ones. With kCapture of Command::kClean only.
  const std::vector<tracer::Recovered>& recovered() const { return own_->recovered(); }

  // Where the query engine listens.
  const std::string& query_address() const { return endpoints_.query; }

  // Opens the store here when the process that owned it has gone in the meantime; the tracer's
  // stream goes on there. Does nothing while it is alive or when the store is ours.
  absl::Status ReplaceLostBackend();

 private:
  Connection(const CommandLine& line, log::Logger* logger, metrics::Registry* registry);
  absl::Status Start(Need need);
  absl::Status FindTracer(const absl::StatusOr<rpc::Endpoints>& owner);

  const CommandLine line_;
  log::Logger* const logger_;
  metrics::Registry* const registry_;
  rpc::Endpoints endpoints_;
  bool store_is_ours_ = false;
  // Null when every service is somebody else's.
  std::unique_ptr<AllInOne> own_;
};

}  // namespace flightrec::cli

#endif  // SERVICES_FLIGHTREC_CONNECTION_H_
