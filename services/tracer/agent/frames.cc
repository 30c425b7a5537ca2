#include "services/tracer/agent/frames.h"

namespace flightrec::agent {
namespace {

// What the compiler writes: pointers of 4 bytes relative to their own place.
struct Fde {
  uint32_t length;  // behind this field; 0 ends the list
  int32_t cie;      // 0: this is a CIE
  int32_t low;
  uint32_t bytes;
};

const ImageHeader& Image() {
  const ImageHeader* header;
  asm("lea image_start(%%rip), %0" : "=r"(header));
  return *header;
}

uint64_t FindInImage(uint64_t address, DwarfBases* bases) {
  const ImageHeader& image = Image();
  const auto start = reinterpret_cast<uint64_t>(&image);
  if (address - start >= image.frames) return 0;
  for (uint64_t at = start + image.frames;;) {
    const auto* fde = reinterpret_cast<const Fde*>(at);
    if (fde->length == 0) return 0;
    const uint64_t low =
        reinterpret_cast<uint64_t>(&fde->low) + static_cast<uint64_t>(int64_t{fde->low});
    if (fde->cie != 0 && address - low < fde->bytes) {
      *bases = {0, 0, low};
      return at;
    }
    at += sizeof(fde->length) + fde->length;
  }
}

// The last function whose copied instructions do not start behind `offset`.
const Displaced* FindDisplaced(const Region& region, uint64_t offset) {
  const auto* rows = reinterpret_cast<const Displaced*>(region.displaced);
  uint64_t low = 0;
  uint64_t high = (region.high - region.low) / region.stub_bytes;
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    if (rows[middle].original != 0 && rows[middle].relocated <= offset) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low == 0 ? nullptr : rows + low - 1;
}

// The original's FDE, moved so that each copied instruction finds its row: copies
// may be longer than their originals.
uint64_t FindForCopy(const Region& region, uint64_t address, DwarfBases* bases,
                     FindFdeFunction original) {
  const Displaced* row = FindDisplaced(region, address - region.high);
  if (row == nullptr) return 0;
  const uint64_t copy = region.high + row->relocated;
  if (row->called_at != 0 && address - copy >= row->called_at) {
    *bases = {0, 0, address};
    return region.callee_fde;
  }
  uint32_t i = 0;
  while (i + 1 < row->count && copy + row->relocated_at[i + 1] <= address) ++i;
  const uint64_t instruction = row->original + row->original_at[i];
  const uint64_t fde = original(instruction, bases);
  if (fde != 0) bases->function += address - instruction;
  return fde;
}

}  // namespace

uint64_t FindOurFde(const AgentState& state, uint64_t address, DwarfBases* bases,
                    FindFdeFunction original) {
  for (uint64_t i = 0; i < state.region_count; ++i) {
    const Region& region = state.regions[i];
    const uint64_t offset = address - region.low;
    if (offset < region.high - region.low) {
      *bases = {0, 0, address - offset % region.stub_bytes};
      return region.stub_fde;
    }
    if (address - region.high < region.displaced_end - region.high) {
      return FindForCopy(region, address, bases, original);
    }
    const auto* thunks = reinterpret_cast<const CodeWithFrames*>(region.thunks);
    for (uint32_t k = 0; k < kThunks; ++k) {
      if (address - thunks[k].low >= thunks[k].high - thunks[k].low) continue;
      *bases = {0, 0, thunks[k].low};
      return thunks[k].fde;
    }
  }
  return FindInImage(address, bases);
}

}  // namespace flightrec::agent
