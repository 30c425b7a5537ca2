// Rates between two looks at one recording. For one thread; reads no clock itself.

#ifndef SERVICES_TRACER_RECORDER_RATE_METER_H_
#define SERVICES_TRACER_RECORDER_RATE_METER_H_

#include <cstdint>

#include "absl/time/time.h"

namespace flightrec::tracer {

// What a recording and its tracer have come to at one moment.
struct Progress {
  absl::Time time;
  uint64_t calls = 0;         // with a record
  uint64_t lost_calls = 0;    // counted only
  absl::Duration tracer_cpu;  // of this process, all recordings together
};

struct Rates {
  double calls_per_second = 0;
  double lost_calls_per_second = 0;
  // Shares of one CPU.
  double program_overhead = 0;
  double tracer_cpu = 0;
};

class RateMeter {
 public:
  // What a hooked call costs its thread, recorded or not; 0: not known.
  explicit RateMeter(double ns_per_call) : ns_per_call_(ns_per_call) {}

  // Since the look before; all zero for the first.
  Rates Look(const Progress& now);

 private:
  const double ns_per_call_;
  Progress last_ = {absl::InfinitePast(), 0, 0, absl::ZeroDuration()};
};

// CPU time of this process so far.
absl::Duration OwnCpuTime();

}  // namespace flightrec::tracer

#endif  // SERVICES_TRACER_RECORDER_RATE_METER_H_
