#include "common/testing/simulated_clock.h"

namespace flightrec::testing {

absl::Time SimulatedClock::Now() {
  absl::MutexLock lock(&mutex_);
  return start_ + elapsed_;
}

absl::Duration SimulatedClock::Monotonic() {
  absl::MutexLock lock(&mutex_);
  return elapsed_;
}

bool SimulatedClock::AwaitWithTimeout(absl::Mutex& mutex, const absl::Condition& condition,
                                      absl::Duration timeout) {
  absl::Duration deadline;
  {
    absl::MutexLock lock(&mutex_);
    deadline = elapsed_ + timeout;
    ++waiters_;
  }
  bool holds = condition.Eval();
  while (!holds && Monotonic() < deadline) {
    holds = mutex.AwaitWithTimeout(condition, kPollInterval);
  }
  absl::MutexLock lock(&mutex_);
  --waiters_;
  return holds;
}

void SimulatedClock::Advance(absl::Duration step) {
  absl::MutexLock lock(&mutex_);
  elapsed_ += step;
}

int SimulatedClock::waiters() {
  absl::MutexLock lock(&mutex_);
  return waiters_;
}

}  // namespace flightrec::testing
