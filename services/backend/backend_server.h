// The backend as one object: store, services and server. The only place that constructs them.
//
//   auto backend = BackendServer::Start(config, &logger, &registry);
//   ... (*backend)->address() ...
//   (*backend)->Drain();
//
// Started and drained by one thread.
#ifndef SERVICES_BACKEND_BACKEND_SERVER_H_
#define SERVICES_BACKEND_BACKEND_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/clock/clock.h"
#include "common/log/logger.h"
#include "common/metrics/registry.h"
#include "common/rpc/server.h"
#include "services/backend/admin_service.h"
#include "services/backend/backend_config.h"
#include "services/backend/ingest_service.h"
#include "services/backend/read_service.h"
#include "services/backend/retention.h"
#include "services/backend/store/store.h"

namespace flightrec::backend {

class BackendServer {
 public:
  // `logger`, `registry` and `clock` outlive the server. FAILED_PRECONDITION: another process owns
  // the store; the message names it and where it listens. UNAVAILABLE: the address is taken.
  static absl::StatusOr<std::unique_ptr<BackendServer>> Start(
      const FinalizedBackendConfig& config, log::Logger* logger, metrics::Registry* registry,
      const DatabaseOptions& database_options = {}, clock::Clock& clock = clock::RealClock());
  // Drains if that has not happened, then closes the store.
  ~BackendServer();
  BackendServer(const BackendServer&) = delete;
  BackendServer& operator=(const BackendServer&) = delete;

  // What a client on this machine dials.
  std::string address() const { return server_.address(); }
  // 0 when metrics are off.
  int metrics_port() const { return server_.metrics_port(); }
  // Until every chunk committed before has its rollup, for tests. Only with rollups.
  void WaitForRollups() { store_->rollups()->WaitUntilIdle(); }

  // Ends the ingest sessions after their last acknowledgement, lets other calls finish until the
  // drain deadline. Idempotent.
  void Drain();

 private:
  BackendServer(const FinalizedBackendConfig& config, std::unique_ptr<Store> store,
                log::Logger* logger, metrics::Registry* registry, clock::Clock& clock);
  absl::Status Serve();

  const FinalizedBackendConfig config_;
  log::Logger* const logger_;
  metrics::Registry& registry_;
  // Sessions use the store until the server is gone.
  const std::unique_ptr<Store> store_;
  rpc::Server server_;
  IngestService ingest_service_;
  ReadService read_service_;
  AdminService admin_service_;
  Retention retention_;
  bool serving_ = false;
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_BACKEND_SERVER_H_
