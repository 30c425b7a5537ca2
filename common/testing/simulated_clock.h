// A clock that moves only when a test says so.
//
// Thread-safe. Does not wake a waiter at once: waiters look at the simulated
// time every kPollInterval of real time.
#ifndef COMMON_TESTING_SIMULATED_CLOCK_H_
#define COMMON_TESTING_SIMULATED_CLOCK_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"

namespace flightrec::testing {

class SimulatedClock : public clock::Clock {
 public:
  static constexpr absl::Duration kPollInterval = absl::Milliseconds(1);

  explicit SimulatedClock(absl::Time start = absl::UnixEpoch() + absl::Hours(24 * 365 * 50))
      : start_(start) {}

  absl::Time Now() override;
  absl::Duration Monotonic() override;
  bool AwaitWithTimeout(absl::Mutex& mutex, const absl::Condition& condition,
                        absl::Duration timeout) override;

  void Advance(absl::Duration step);

  // How many AwaitWithTimeout calls are waiting now.
  int waiters();

 private:
  const absl::Time start_;
  absl::Mutex mutex_;
  absl::Duration elapsed_ ABSL_GUARDED_BY(mutex_) = absl::ZeroDuration();
  int waiters_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace flightrec::testing

#endif  // COMMON_TESTING_SIMULATED_CLOCK_H_
