// Time as a constructor argument: what the code may ask about the present, so
// that tests decide when time passes.
//
// Thread-safe. Does not read the TSC: see calibration.h.
#ifndef COMMON_CLOCK_CLOCK_H_
#define COMMON_CLOCK_CLOCK_H_

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace flightrec::clock {

class Clock {
 public:
  virtual ~Clock() = default;

  // CLOCK_REALTIME. May step backwards.
  virtual absl::Time Now() = 0;

  // Time since an arbitrary fixed point. Never steps backwards.
  virtual absl::Duration Monotonic() = 0;

  // Waits until `condition` holds or `timeout` of this clock has passed;
  // returns whether the condition holds. `mutex` must be held and is held on
  // return.
  virtual bool AwaitWithTimeout(absl::Mutex& mutex, const absl::Condition& condition,
                                absl::Duration timeout) = 0;
};

// The machine's clocks. Lives until the process ends.
Clock& RealClock();

}  // namespace flightrec::clock

#endif  // COMMON_CLOCK_CLOCK_H_
