#include "services/tracer/lane/clock_gaps.h"

#include <algorithm>

namespace flightrec::lane {

void ClockGaps::Add(uint64_t from, uint64_t to) {
  const Gap gap = {to, to - from};
  while (!gaps_.empty() && gaps_.back().ticks <= gap.ticks) gaps_.pop_back();
  gaps_.push_back(gap);
  if (gaps_.size() <= kMaxEntries) return;
  // The oldest answers for the second oldest too.
  gaps_[1] = {gaps_[1].end, gaps_[0].ticks};
  gaps_.pop_front();
}

uint64_t ClockGaps::LargestSince(uint64_t ticks) const {
  const auto found =
      std::upper_bound(gaps_.begin(), gaps_.end(), ticks,
                       [](uint64_t moment, const Gap& gap) { return moment < gap.end; });
  return found == gaps_.end() ? 0 : found->ticks;
}

}  // namespace flightrec::lane
