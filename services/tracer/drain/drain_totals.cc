#include "services/tracer/drain/drain_totals.h"

namespace flightrec::drain {

void DrainTotals::Add(const DrainTotals& other) {
  threads += other.threads;
  chunks += other.chunks;
  chunk_bytes += other.chunk_bytes;
  calls += other.calls;
  open_calls += other.open_calls;
  lost_lane_full += other.lost_lane_full;
  lost_too_deep += other.lost_too_deep;
  lost_migrated += other.lost_migrated;
  lost_spool_full += other.lost_spool_full;
  lost_malformed += other.lost_malformed;
  filtered += other.filtered;
  for (const auto& [function_id, count] : other.lost_by_function) {
    lost_by_function[function_id] += count;
  }
}

}  // namespace flightrec::drain
