#include "common/chunk/chunk.h"

#include <algorithm>

namespace flightrec::chunk {

void SummarizeCalls(const CallColumns& calls, ChunkHeader& header) {
  header.call_count = static_cast<uint32_t>(calls.size());
  header.min_start_ticks = 0;
  header.max_end_ticks = 0;
  header.min_ordinal = 0;
  header.max_ordinal = 0;
  if (calls.size() == 0) return;
  uint64_t min_start = calls.start_ticks[0];
  uint64_t max_end = 0;
  for (size_t i = 0; i < calls.size(); ++i) {
    const uint64_t start = calls.start_ticks[i];
    min_start = std::min(min_start, start);
    max_end = std::max(max_end, start + calls.duration_ticks[i]);
  }
  header.min_start_ticks = min_start;
  header.max_end_ticks = max_end;
  header.min_ordinal = calls.ordinal.front();
  header.max_ordinal = calls.ordinal.back();
}

}  // namespace flightrec::chunk
