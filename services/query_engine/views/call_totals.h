// Calls added up, as every view gives them. Plain data.
#ifndef SERVICES_QUERY_ENGINE_VIEWS_CALL_TOTALS_H_
#define SERVICES_QUERY_ENGINE_VIEWS_CALL_TOTALS_H_

#include <cstdint>

namespace flightrec::query_engine {

struct CallTotals {
  // Ended, open and lost.
  uint64_t calls = 0;
  // Ended; the times are theirs.
  uint64_t calls_timed = 0;
  // A call under another one of the same function does not count.
  uint64_t total_ns = 0;
  uint64_t self_ns = 0;
  uint64_t min_ns = 0;
  uint64_t p50_ns = 0;
  uint64_t p90_ns = 0;
  uint64_t p99_ns = 0;
  uint64_t max_ns = 0;

  bool operator==(const CallTotals&) const = default;
};

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_VIEWS_CALL_TOTALS_H_
