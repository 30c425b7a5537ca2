// From the calls of one thread to a tree: who called whom, how deep, how much
// of its time a call spent itself.
//
// Not thread-safe. Does not read chunks and does not write rows.
#ifndef SERVICES_QUERY_ENGINE_LOAD_CALL_SWEEP_H_
#define SERVICES_QUERY_ENGINE_LOAD_CALL_SWEEP_H_

#include <cstdint>
#include <limits>
#include <vector>

#include "services/query_engine/load/path_table.h"

namespace flightrec::query_engine {

struct SweptCall {
  // Set by the caller.
  uint64_t ordinal = 0;
  int64_t start_ns = 0;
  // kOpen while the call has not ended.
  int64_t end_ns = 0;
  uint32_t path = 0;  // index into the PathTable

  // Set by SweepThread.
  // No call of the same function is above it: its time counts for the total.
  bool outermost = true;
  uint64_t parent_ordinal = 0;  // 0: none, or lost
  int64_t self_ns = 0;          // of a call that has ended

  static constexpr int64_t kOpen = std::numeric_limits<int64_t>::max();
  bool is_open() const { return end_ns == kOpen; }
};

// `calls` are those of one thread in order of their ordinals, which is the
// order they were entered in; `paths` is linked.
//
// A call's parent is the innermost earlier call with the path above its own
// whose interval encloses it. When that one was lost there is no parent, and
// the time still counts against the nearest recorded ancestor.
void SweepThread(const PathTable& paths, std::vector<SweptCall>& calls);

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_LOAD_CALL_SWEEP_H_
