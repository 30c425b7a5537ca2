// How long to wait before the next try: longer each time up to a limit, and never quite the same,
// so that producers which lost one backend together do not return together.
//
// Not thread-safe. Does not wait.
#ifndef SERVICES_TRACER_INGEST_BACKOFF_H_
#define SERVICES_TRACER_INGEST_BACKOFF_H_

#include <algorithm>

#include "absl/random/bit_gen_ref.h"
#include "absl/random/random.h"
#include "absl/time/time.h"

namespace flightrec::ingest {

struct BackoffLimits {
  absl::Duration initial = absl::Milliseconds(50);
  absl::Duration max = absl::Seconds(5);
};

class Backoff {
 public:
  explicit Backoff(const BackoffLimits& limits) : limits_(limits), next_(limits.initial) {}

  // Between half and all of the current step; the step doubles.
  absl::Duration Next(absl::BitGenRef random) {
    const absl::Duration step = next_;
    next_ = std::min(next_ * 2, limits_.max);
    return step * absl::Uniform(random, 0.5, 1.0);
  }

  void Reset() { next_ = limits_.initial; }

 private:
  const BackoffLimits limits_;
  absl::Duration next_;
};

}  // namespace flightrec::ingest

#endif  // SERVICES_TRACER_INGEST_BACKOFF_H_
