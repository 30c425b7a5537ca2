// How far apart the publications of the coarse clock were: the error of its times.
//
// Not thread-safe. Remembers enough to answer for any moment in the past, rounding old answers up
// when it runs out of room.
#ifndef SERVICES_TRACER_LANE_CLOCK_GAPS_H_
#define SERVICES_TRACER_LANE_CLOCK_GAPS_H_

#include <cstddef>
#include <cstdint>
#include <deque>

namespace flightrec::lane {

class ClockGaps {
 public:
  static constexpr size_t kMaxEntries = 1024;

  // Publications at `from` and `to`, in ticks, with none between.
  void Add(uint64_t from, uint64_t to);

  // The largest gap that began or lasted at `ticks` or later; 0 if there is none.
  uint64_t LargestSince(uint64_t ticks) const;

 private:
  struct Gap {
    uint64_t end;
    uint64_t ticks;
  };

  // Each is larger than all later ones, so the first that ends behind a moment is the answer.
  std::deque<Gap> gaps_;
};

}  // namespace flightrec::lane

#endif  // SERVICES_TRACER_LANE_CLOCK_GAPS_H_
