// What became of the calls of a process or thread: the numbers behind completeness. Values.
#ifndef SERVICES_TRACER_DRAIN_DRAIN_TOTALS_H_
#define SERVICES_TRACER_DRAIN_DRAIN_TOTALS_H_

#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "common/ids/entity_id.h"

namespace flightrec::drain {

struct DrainTotals {
  uint64_t threads = 0;
  uint64_t chunks = 0;
  uint64_t chunk_bytes = 0;
  // Calls in chunks that the sink took.
  uint64_t calls = 0;
  // Calls that never ended.
  uint64_t open_calls = 0;
  // Calls without a record, by cause.
  uint64_t lost_lane_full = 0;
  uint64_t lost_too_deep = 0;
  uint64_t lost_migrated = 0;
  uint64_t lost_spool_full = 0;
  // Records that no chunk could hold: numbers that no traced function writes.
  uint64_t lost_malformed = 0;
  // Calls that a filter left out; they are not lost.
  uint64_t filtered = 0;
  // All of the lost ones whose function is known.
  absl::flat_hash_map<ids::FunctionId, uint64_t> lost_by_function;

  void Add(const DrainTotals& other);

  uint64_t lost() const {
    return lost_lane_full + lost_too_deep + lost_migrated + lost_spool_full + lost_malformed;
  }
};

}  // namespace flightrec::drain

#endif  // SERVICES_TRACER_DRAIN_DRAIN_TOTALS_H_
