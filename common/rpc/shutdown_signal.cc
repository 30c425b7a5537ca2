#include "common/rpc/shutdown_signal.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "absl/time/clock.h"

namespace flightrec::rpc {
namespace {

// The handler's only way to find the eventfd. -1: no ShutdownSignal exists.
std::atomic<int> g_event_fd{-1};
std::atomic<int> g_signal{0};

void OnSignal(int number) {
  const int saved_errno = errno;
  int none = 0;
  g_signal.compare_exchange_strong(none, number);
  const uint64_t one = 1;
  // An eventfd counter cannot fill up with signals; nothing to do on error.
  [[maybe_unused]] ssize_t n = write(g_event_fd.load(std::memory_order_relaxed), &one, sizeof(one));
  errno = saved_errno;
}

}  // namespace

ShutdownSignal::ShutdownSignal() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  g_signal = 0;
  g_event_fd = fd_;
  struct sigaction action;
  memset(&action, 0, sizeof(action));
  action.sa_handler = OnSignal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGTERM, &action, &old_term_);
  sigaction(SIGINT, &action, &old_int_);
}

ShutdownSignal::~ShutdownSignal() {
  Restore();
  g_event_fd = -1;
  close(fd_);
}

void ShutdownSignal::Restore() {
  if (!installed_) return;
  installed_ = false;
  sigaction(SIGTERM, &old_term_, nullptr);
  sigaction(SIGINT, &old_int_, nullptr);
}

int ShutdownSignal::Wait() { return WaitFor(absl::InfiniteDuration()); }

int ShutdownSignal::WaitFor(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  for (;;) {
    const absl::Duration left = deadline - absl::Now();
    const int millis = left == absl::InfiniteDuration()
                           ? -1
                           : static_cast<int>(absl::ToInt64Milliseconds(
                                 std::clamp(left, absl::ZeroDuration(), absl::Hours(1))));
    pollfd entry{.fd = fd_, .events = POLLIN, .revents = 0};
    if (poll(&entry, 1, millis) > 0) {
      Restore();
      return g_signal;
    }
    if (left <= absl::ZeroDuration()) return 0;
  }
}

void ShutdownSignal::Notify() { OnSignal(SIGTERM); }

}  // namespace flightrec::rpc
