// The identity of a calling path: the chain of functions from a thread's root
// down to a call, folded into 64 bits one function at a time.
//
// The fold is invertible, so a reader that knows a path and its last function
// gets the parent path without a table. It runs in the hooked function's entry
// stub as one add and one multiply by a sign-extended 32-bit immediate.
//
// Thread-safe: pure functions. Freestanding: included by the agent, so nothing
// but <stdint.h>. Does not detect collisions of two different chains.
#ifndef COMMON_PATH_PATH_H_
#define COMMON_PATH_PATH_H_

#include <stdint.h>

namespace flightrec {

// Path of a thread that is in no traced function.
inline constexpr uint64_t kRootPath = 0x9E3779B97F4A7C15u;

// Odd, so that it has an inverse modulo 2^64; positive as an int32, so that
// `imul r64, r64, imm32` sign-extends it to itself.
inline constexpr uint64_t kPathMultiplier = 0x4F1BBCDDu;

// Newton's iteration: an odd number is its own inverse modulo 8, and every step
// doubles the number of right bits.
constexpr uint64_t InverseModulo2To64(uint64_t odd) {
  uint64_t inverse = odd;
  for (int right_bits = 3; right_bits < 64; right_bits *= 2) {
    inverse *= 2 - odd * inverse;
  }
  return inverse;
}

inline constexpr uint64_t kPathInverseMultiplier = InverseModulo2To64(kPathMultiplier);
static_assert(kPathMultiplier * kPathInverseMultiplier == 1);
static_assert(kPathMultiplier <= 0x7FFFFFFFu);

constexpr uint64_t ExtendPath(uint64_t parent, uint64_t function_id) {
  return (parent + function_id) * kPathMultiplier;
}

// `function_id` is the last function of `path`.
constexpr uint64_t ParentPath(uint64_t path, uint64_t function_id) {
  return path * kPathInverseMultiplier - function_id;
}

}  // namespace flightrec

#endif  // COMMON_PATH_PATH_H_
