// Lets one thread wait for SIGTERM or SIGINT. Installs handlers (not a blocked
// mask: a mask would be inherited by the programs we launch) and puts the
// former ones back when destroyed or after the first signal, so a second one
// ends the process at once. At most one at a time in a process.
#ifndef FLIGHTREC_COMMON_RPC_SHUTDOWN_SIGNAL_H_
#define FLIGHTREC_COMMON_RPC_SHUTDOWN_SIGNAL_H_

#include <signal.h>

#include "absl/time/time.h"

namespace flightrec::rpc {

class ShutdownSignal {
 public:
  ShutdownSignal();
  ~ShutdownSignal();
  ShutdownSignal(const ShutdownSignal&) = delete;
  ShutdownSignal& operator=(const ShutdownSignal&) = delete;

  // The signal's number.
  int Wait();
  // 0 when none came within `timeout`.
  int WaitFor(absl::Duration timeout);
  // From any thread: as if SIGTERM had come.
  void Notify();
  // Readable once a signal has come; for poll(). Owned by this object.
  int fd() const { return fd_; }

 private:
  void Restore();

  int fd_;
  bool installed_ = true;
  struct sigaction old_term_;
  struct sigaction old_int_;
};

}  // namespace flightrec::rpc

#endif  // FLIGHTREC_COMMON_RPC_SHUTDOWN_SIGNAL_H_
