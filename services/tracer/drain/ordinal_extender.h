// Restores the upper half of entry ordinals, of which lanes carry the lower 32 bits.
//
// A call may end, and so be seen, any time after it began; its start tells which round of the
// lower half it belongs to. Right as long as a thread makes fewer than 2^31 calls between two that
// are seen. Not thread-safe. Needs 16 bytes for each 2^30 calls.
#ifndef SERVICES_TRACER_DRAIN_ORDINAL_EXTENDER_H_
#define SERVICES_TRACER_DRAIN_ORDINAL_EXTENDER_H_

#include <cstdint>
#include <vector>

namespace flightrec::drain {

class OrdinalExtender {
 public:
  uint64_t Extend(uint32_t ordinal_low, uint64_t start_ticks) {
    const Mark& last = marks_.back();
    const uint32_t distance = ordinal_low - static_cast<uint32_t>(last.ordinal);
    if (start_ticks >= last.start_ticks && distance < kMarkDistance) {
      return last.ordinal + distance;
    }
    return ExtendFarther(ordinal_low, start_ticks);
  }

  // Of a thread that another extender was for: one of its calls.
  void Resume(uint64_t ordinal, uint64_t start_ticks) {
    if (start_ticks != 0) marks_.push_back({start_ticks, ordinal});
  }
  // The latest call that it remembers.
  uint64_t last_ordinal() const { return marks_.back().ordinal; }
  uint64_t last_start_ticks() const { return marks_.back().start_ticks; }

 private:
  static constexpr uint64_t kMarkDistance = uint64_t{1} << 30;

  uint64_t ExtendFarther(uint32_t ordinal_low, uint64_t start_ticks);

  struct Mark {
    uint64_t start_ticks;
    uint64_t ordinal;
  };

  // Increasing in both; the first is the thread's beginning.
  std::vector<Mark> marks_ = {{0, 0}};
};

}  // namespace flightrec::drain

#endif  // SERVICES_TRACER_DRAIN_ORDINAL_EXTENDER_H_
