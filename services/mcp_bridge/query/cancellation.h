// Lets one thread stop the work of another: the reader of a session gets
// notifications/cancelled, the call runs elsewhere. Thread-safe. Cancelling is
// final; it does not wait for the work to end.
#ifndef FLIGHTREC_SERVICES_MCP_BRIDGE_QUERY_CANCELLATION_H_
#define FLIGHTREC_SERVICES_MCP_BRIDGE_QUERY_CANCELLATION_H_

#include <functional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace flightrec::mcp_bridge {

class Cancellation {
 public:
  void Cancel();
  bool cancelled() const;

  // While it lives, Cancel calls `stop` (at once if already cancelled). One at
  // a time. `stop` must not touch the Cancellation.
  class Scope {
   public:
    Scope(Cancellation* cancellation, std::function<void()> stop);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Cancellation* const cancellation_;
  };

 private:
  mutable absl::Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<void()> stop_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace flightrec::mcp_bridge

#endif  // FLIGHTREC_SERVICES_MCP_BRIDGE_QUERY_CANCELLATION_H_
