#include "services/tracer/drain/ordinal_extender.h"

#include <cstddef>

namespace flightrec::drain {

uint64_t OrdinalExtender::ExtendFarther(uint32_t ordinal_low, uint64_t start_ticks) {
  // Most calls began behind the last mark.
  size_t i = marks_.size() - 1;
  while (i > 0 && marks_[i].start_ticks > start_ticks) --i;
  const uint64_t near = marks_[i].ordinal;
  const auto distance = static_cast<int32_t>(ordinal_low - static_cast<uint32_t>(near));
  // Behind the thread's beginning there is nothing: that distance is a forward one.
  const bool before_beginning = distance < 0 && static_cast<uint64_t>(-int64_t{distance}) > near;
  const uint64_t ordinal = before_beginning
                               ? near + static_cast<uint32_t>(distance)
                               : near + static_cast<uint64_t>(static_cast<int64_t>(distance));
  if (i == marks_.size() - 1 && ordinal >= near + kMarkDistance &&
      start_ticks > marks_[i].start_ticks) {
    marks_.push_back({start_ticks, ordinal});
  }
  return ordinal;
}

}  // namespace flightrec::drain
