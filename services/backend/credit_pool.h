// The bytes of batches that may be under way over all sessions, and the number of sessions. Each
// session has one batch of its own, so that none is kept from sending; what it may have under way
// beyond that comes out of what all share.
//
// Thread-safe. Does not watch how a session uses its share.
#ifndef SERVICES_BACKEND_CREDIT_POOL_H_
#define SERVICES_BACKEND_CREDIT_POOL_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "services/backend/backend_config.h"

namespace flightrec::backend {

// A session gets at most this share of what is left, so that later ones get something too.
inline constexpr int64_t kShareOfRest = 8;

class CreditPool {
 public:
  explicit CreditPool(const IngestLimits& limits)
      : limits_(limits), free_bytes_(limits.max_bytes_in_flight) {}

  // A session's credit in bytes, from max_batch_bytes to session_credit_bytes. RESOURCE_EXHAUSTED:
  // there are max_sessions.
  absl::StatusOr<int64_t> Take();
  // What Take gave.
  void GiveBack(int64_t bytes);

 private:
  const IngestLimits limits_;
  absl::Mutex mutex_;
  int64_t free_bytes_ ABSL_GUARDED_BY(mutex_);
  int sessions_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_CREDIT_POOL_H_
