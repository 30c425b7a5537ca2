#include "services/mcp_bridge/query/cancellation.h"

#include <utility>

namespace flightrec::mcp_bridge {

void Cancellation::Cancel() {
  absl::MutexLock lock(&mutex_);
  if (cancelled_) return;
  cancelled_ = true;
  if (stop_) stop_();
}

bool Cancellation::cancelled() const {
  absl::MutexLock lock(&mutex_);
  return cancelled_;
}

Cancellation::Scope::Scope(Cancellation* cancellation, std::function<void()> stop)
    : cancellation_(cancellation) {
  absl::MutexLock lock(&cancellation_->mutex_);
  if (cancellation_->cancelled_) stop();
  cancellation_->stop_ = std::move(stop);
}

Cancellation::Scope::~Scope() {
  absl::MutexLock lock(&cancellation_->mutex_);
  cancellation_->stop_ = nullptr;
}

}  // namespace flightrec::mcp_bridge
