#include "services/tracer/recorder/rate_meter.h"

#include <sys/resource.h>

namespace flightrec::tracer {
namespace {

constexpr double kNanosecondsPerSecond = 1e9;

// Numbers may go back when a recording ends and is counted anew.
double Increase(uint64_t from, uint64_t to) {
  return to > from ? static_cast<double>(to - from) : 0;
}

}  // namespace

Rates RateMeter::Look(const Progress& now) {
  Rates rates;
  const double seconds = absl::ToDoubleSeconds(now.time - last_.time);
  if (last_.time != absl::InfinitePast() && seconds > 0) {
    rates.calls_per_second = Increase(last_.calls, now.calls) / seconds;
    rates.lost_calls_per_second = Increase(last_.lost_calls, now.lost_calls) / seconds;
    rates.program_overhead = (rates.calls_per_second + rates.lost_calls_per_second) * ns_per_call_ /
                             kNanosecondsPerSecond;
    rates.tracer_cpu = absl::ToDoubleSeconds(now.tracer_cpu - last_.tracer_cpu) / seconds;
  }
  last_ = now;
  return rates;
}

absl::Duration OwnCpuTime() {
  struct rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return absl::DurationFromTimeval(usage.ru_utime) + absl::DurationFromTimeval(usage.ru_stime);
}

}  // namespace flightrec::tracer
