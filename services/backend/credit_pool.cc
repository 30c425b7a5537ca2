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
  if (free_bytes_ < limits_.max_batch_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "bytes in flight are given away: --max_bytes_in_flight=", limits_.max_bytes_in_flight));
  }
  const int64_t share =
      std::clamp(free_bytes_ / kShareOfRest, limits_.max_batch_bytes, limits_.session_credit_bytes);
  free_bytes_ -= share;
  ++sessions_;
  return share;
}

void CreditPool::GiveBack(int64_t bytes) {
  absl::MutexLock lock(&mutex_);
  free_bytes_ += bytes;
  --sessions_;
}

}  // namespace flightrec::backend
