// Moves the instructions displaced by a patch to another address. Pure
// functions, thread-safe; they write nothing into any process.

#ifndef SERVICES_TRACER_PATCH_RELOCATE_H_
#define SERVICES_TRACER_PATCH_RELOCATE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "services/tracer/patch/site.h"

namespace flightrec::patch {

// No relocated prologue is longer; reserve this much per stub.
inline constexpr size_t kMaxRelocatedBytes = 128;

// A displaced instruction and its copy. A thread stopped at site.address +
// original has to be continued at destination + relocated.
struct Landmark {
  uint32_t original = 0;   // bytes from Site.address
  uint32_t relocated = 0;  // bytes from the destination
};

struct RelocatedPrologue {
  // The displaced instructions fixed up for the destination, then a jump to
  // address + length in the process. A call is `push original return address;
  // jmp callee`, so its callee and any unwinder see the original address; the
  // address is behind the code, so that one instruction pushes it.
  // Flags and all registers are as the original leaves them. Of a sled nothing
  // is left but the jump.
  std::vector<uint8_t> code;
  std::vector<Landmark> landmarks;  // one per displaced instruction, in order
  // What stands behind them; nullopt: the last one does not go on.
  absl::optional<Landmark> jump_back;
  // Where the stack is as at the start of a callee: behind the push of a call. 0: no call.
  uint32_t called = 0;
};

// `load_bias` and `destination` are addresses of the process. OUT_OF_RANGE: an
// operand or branch target is not within +-2 GiB of the destination.
// INVALID_ARGUMENT: the site did not come from a Planner.
absl::StatusOr<RelocatedPrologue> RelocatePrologue(const Site& site, uint64_t load_bias,
                                                   uint64_t destination);

// `jmp rel32` at `from` to `to`, both addresses of the process. OUT_OF_RANGE
// beyond +-2 GiB.
absl::StatusOr<std::array<uint8_t, kPatchBytes>> EncodeJump(uint64_t from, uint64_t to);

}  // namespace flightrec::patch

#endif  // SERVICES_TRACER_PATCH_RELOCATE_H_
