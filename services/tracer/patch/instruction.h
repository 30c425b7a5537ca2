// One decoded x86-64 instruction, reduced to what moving it needs to know. Thin
// layer over Zydis; pure functions, thread-safe.

#ifndef SERVICES_TRACER_PATCH_INSTRUCTION_H_
#define SERVICES_TRACER_PATCH_INSTRUCTION_H_

#include <Zydis/Zydis.h>

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"

namespace flightrec::patch {

enum class Flow : uint8_t {
  kSequential,
  kConditional,   // jcc
  kCounted,       // loop, loope, loopne, jrcxz: have no 32-bit form
  kJump,          // jmp rel
  kIndirectJump,  // jmp reg or memory
  kCall,          // call rel
  kIndirectCall,  // call reg or memory
  kReturn,
  kStop,  // ud2, hlt, int3: execution does not continue behind it
};

struct Instruction {
  ZydisDecodedInstruction info;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];

  uint8_t length() const { return info.length; }
  Flow flow() const;
  // True when the instruction behind it is not executed next, or only after a
  // return to its original address.
  bool EndsPrologue() const;
  // Has a memory operand relative to rip.
  bool RipRelative() const;
  // For flows with a relative target: the target when the instruction is at
  // `address`.
  uint64_t Target(uint64_t address) const;
  bool IsPadding() const;  // nop of any length, int3
  // Reads or writes rbx or a part of it.
  bool UsesRbx() const;
  // push rbx, or a store of rbx to memory.
  bool SavesRbx() const;
  // Has the memory operand fs:[offset].
  bool ReadsThreadWord(int64_t offset) const;
  // Why no copy elsewhere can do the same; empty when one can.
  absl::optional<absl::string_view> NotMovable() const;
  std::string Text(uint64_t address) const;  // "mov rax, rdi"
};

// False when the bytes do not start with a whole instruction.
bool DecodeInstruction(absl::Span<const uint8_t> bytes, Instruction& instruction);

bool StartsWithEndbr64(absl::Span<const uint8_t> bytes);

inline constexpr uint32_t kEndbr64Bytes = 4;

}  // namespace flightrec::patch

#endif  // SERVICES_TRACER_PATCH_INSTRUCTION_H_
