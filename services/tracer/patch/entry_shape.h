// What compilers put at the start of a function for the sake of tools, and
// where a patch goes because of it. Pure functions over a module's bytes,
// thread-safe.
//
//   endbr64   always stays where it is
//   NOPs      -fpatchable-function-entry=N (those behind the symbol),
//             -mnop-mcount, hand-written: nobody else's, the patch goes there
//   profiler  -mfentry's `call __fentry__`: reads its caller's return address,
//             so the patch goes behind it
//   XRay      `jmp +9` over a NOP of 9 bytes: the program's own XRay runtime
//             may rewrite its 11 bytes at any time, so the patch goes behind
//             it, and into it only where that is impossible

#ifndef SERVICES_TRACER_PATCH_ENTRY_SHAPE_H_
#define SERVICES_TRACER_PATCH_ENTRY_SHAPE_H_

#include <array>
#include <cstdint>

#include "absl/types/span.h"
#include "services/tracer/patch/site.h"
#include "services/tracer/symbols/module.h"

namespace flightrec::patch {

inline constexpr uint32_t kXraySledBytes = 11;

struct PatchPlace {
  uint64_t address = 0;
  uint32_t sled_bytes = 0;  // >= kPatchBytes; 0: instructions have to be moved
};

// Best first; one or two.
struct PatchPlaces {
  std::array<PatchPlace, 2> places;
  uint32_t count = 0;

  const PatchPlace* begin() const { return places.data(); }
  const PatchPlace* end() const { return places.data() + count; }
};

PatchPlaces FindPatchPlaces(const symbols::Module& module, const symbols::Function& function);

// `ret` or `jmp +9` with the NOP that XRay leaves behind it: an exit sled.
bool StartsWithXrayExit(absl::Span<const uint8_t> bytes);

}  // namespace flightrec::patch

#endif  // SERVICES_TRACER_PATCH_ENTRY_SHAPE_H_
