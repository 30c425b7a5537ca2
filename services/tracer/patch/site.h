// The place in a function where the tracer writes a 5-byte `jmp rel32`. Plain
// data. All addresses are link-time addresses (see symbols/module.h).
//
//   entry        address          address + 5        address + length
//   | stays here | 5 bytes: patched | stay as they are | rest of the function
//                '---------- displaced[0..length) ----'
//
// What stays in front: see entry_shape.h. `displaced` is whole instructions,
// except where the function ends early and the rest is padding. In a sled it
// does nothing and is not executed any more. Bytes from address + 5 on remain valid code: branches
// and returning calls may enter there.

#ifndef SERVICES_TRACER_PATCH_SITE_H_
#define SERVICES_TRACER_PATCH_SITE_H_

#include <cstdint>
#include <vector>

namespace flightrec::patch {

inline constexpr uint32_t kPatchBytes = 5;

struct Site {
  uint64_t entry = 0;        // first byte of the function
  uint64_t address = 0;      // where the jump is written
  uint32_t length = 0;       // displaced bytes, >= kPatchBytes
  uint32_t code_length = 0;  // <= length: whole instructions, without padding
  uint32_t function = 0;     // index into Module.functions
  bool sled = false;         // the compiler left these bytes for a patch
  std::vector<uint8_t> displaced;
};

}  // namespace flightrec::patch

#endif  // SERVICES_TRACER_PATCH_SITE_H_
