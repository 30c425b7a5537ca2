#include "services/backend/credit_pool.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace flightrec::backend {

absl::StatusOr<int64_t> CreditPool::Take() {
  absl::MutexLock lock(&mutex_);
  if (sessions_ == limits_.max_sessions) {
    return absl::ResourceExhaustedError(
        absl::StrCat("session limit reached: --max_sessions=", limits_.max_sessions));
  }
  const int64_t shared = std::clamp(free_bytes_ / kShareOfRest, int64_t{0},
                                    limits_.session_credit_bytes - limits_.max_batch_bytes);
  free_bytes_ -= shared;
  ++sessions_;
  return limits_.max_batch_bytes + shared;
}

void CreditPool::GiveBack(int64_t bytes) {
  absl::MutexLock lock(&mutex_);
  free_bytes_ += bytes - limits_.max_batch_bytes;
  --sessions_;
}

}  // namespace flightrec::backend
