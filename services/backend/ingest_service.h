// IngestService of the contract: opens sessions within the limits and ends them when the server
// drains.
//
// Thread-safe. Outlives its sessions only after the server has shut down.
#ifndef SERVICES_BACKEND_INGEST_SERVICE_H_
#define SERVICES_BACKEND_INGEST_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "common/log/logger.h"
#include "common/metrics/registry.h"
#include "common/rpc/authenticator.h"
#include "flightrec/ingest/v1/ingest.grpc.pb.h"
#include "services/backend/backend_config.h"
#include "services/backend/credit_pool.h"
#include "services/backend/ingest_metrics.h"
#include "services/backend/ingest_session.h"
#include "services/backend/store/store.h"

namespace flightrec::backend {

class IngestService : public ingest::v1::IngestService::CallbackService {
 public:
  // All outlive the service.
  IngestService(Store& store, const IngestLimits& limits, const rpc::Authenticator& authenticator,
                log::Logger& logger, metrics::Registry& registry);

  grpc::ServerBidiReactor<ingest::v1::SessionRequest, ingest::v1::SessionResponse>* Session(
      grpc::CallbackServerContext* context) override;

  // Ends the sessions with UNAVAILABLE once their batches are on disk, and refuses new ones.
  void Drain();

 private:
  void Forget(IngestSession* session, int64_t credit);

  Store& store_;
  const IngestLimits limits_;
  const rpc::Authenticator& authenticator_;
  log::Logger& logger_;
  IngestMetrics metrics_;
  CreditPool pool_;

  absl::Mutex mutex_;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_map<IngestSession*, std::weak_ptr<IngestSession>> sessions_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_INGEST_SERVICE_H_
