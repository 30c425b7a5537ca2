// The readers that follow recordings: opens them, limits them, ends them.
//
// Thread-safe.
#ifndef SERVICES_BACKEND_TAIL_SERVICE_H_
#define SERVICES_BACKEND_TAIL_SERVICE_H_

#include <grpcpp/grpcpp.h>

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "flightrec/read/v1/read.pb.h"
#include "services/backend/backend_config.h"
#include "services/backend/read_metrics.h"
#include "services/backend/store/store.h"
#include "services/backend/tail_stream.h"

namespace flightrec::backend {

class TailService {
 public:
  // Both outlive the service.
  TailService(Store& store, const ReadLimits& limits, ReadMetrics& metrics)
      : store_(store), limits_(limits), metrics_(metrics) {}

  // Never nullptr: what is refused ends at once.
  grpc::ServerWriteReactor<read::v1::TailChunksResponse>* Tail(
      const std::string& tenant, const read::v1::TailChunksRequest& request);

  // Ends all; later ones are refused.
  void Drain();

 private:
  absl::StatusOr<TailStream*> Open(const std::string& tenant,
                                   const read::v1::TailChunksRequest& request);
  void Forget(TailStream* stream);

  Store& store_;
  const ReadLimits limits_;
  ReadMetrics& metrics_;

  absl::Mutex mutex_;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<TailStream*> streams_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_TAIL_SERVICE_H_
