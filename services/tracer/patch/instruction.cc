#include "services/tracer/patch/instruction.h"

#include <algorithm>
#include <cstring>

namespace flightrec::patch {
namespace {

const ZydisDecoder& FullDecoder() {
  static const ZydisDecoder decoder = [] {
    ZydisDecoder made;
    ZydisDecoderInit(&made, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    return made;
  }();
  return decoder;
}

bool IsRbx(ZydisRegister reg) {
  return reg == ZYDIS_REGISTER_BH ||
         (reg != ZYDIS_REGISTER_NONE &&
          ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, reg) == ZYDIS_REGISTER_RBX);
}

bool IsRelative(const ZydisDecodedInstruction& info) {
  return info.raw.imm[0].is_relative == ZYAN_TRUE;
}

}  // namespace

bool DecodeInstruction(absl::Span<const uint8_t> bytes, Instruction& instruction) {
  return ZYAN_SUCCESS(ZydisDecoderDecodeFull(&FullDecoder(), bytes.data(), bytes.size(),
                                             &instruction.info, instruction.operands));
}

bool StartsWithEndbr64(absl::Span<const uint8_t> bytes) {
  constexpr uint8_t kEndbr64[kEndbr64Bytes] = {0xf3, 0x0f, 0x1e, 0xfa};
  return bytes.size() >= kEndbr64Bytes && std::memcmp(bytes.data(), kEndbr64, kEndbr64Bytes) == 0;
}

Flow Instruction::flow() const {
  switch (info.mnemonic) {
    case ZYDIS_MNEMONIC_LOOP:
    case ZYDIS_MNEMONIC_LOOPE:
    case ZYDIS_MNEMONIC_LOOPNE:
    case ZYDIS_MNEMONIC_JRCXZ:
    case ZYDIS_MNEMONIC_JECXZ:
      return Flow::kCounted;
    case ZYDIS_MNEMONIC_JMP:
      return IsRelative(info) ? Flow::kJump : Flow::kIndirectJump;
    case ZYDIS_MNEMONIC_CALL:
      return IsRelative(info) ? Flow::kCall : Flow::kIndirectCall;
    case ZYDIS_MNEMONIC_UD0:
    case ZYDIS_MNEMONIC_UD1:
    case ZYDIS_MNEMONIC_UD2:
    case ZYDIS_MNEMONIC_HLT:
    case ZYDIS_MNEMONIC_INT3:
      return Flow::kStop;
    default:
      break;
  }
  if (info.meta.category == ZYDIS_CATEGORY_RET) return Flow::kReturn;
  if (info.meta.category == ZYDIS_CATEGORY_COND_BR && IsRelative(info) &&
      info.mnemonic != ZYDIS_MNEMONIC_XBEGIN) {
    return Flow::kConditional;
  }
  return Flow::kSequential;
}

bool Instruction::EndsPrologue() const {
  const Flow f = flow();
  return f != Flow::kSequential && f != Flow::kConditional && f != Flow::kCounted;
}

bool Instruction::RipRelative() const {
  for (int i = 0; i < info.operand_count; ++i) {
    if (operands[i].type == ZYDIS_OPERAND_TYPE_MEMORY &&
        (operands[i].mem.base == ZYDIS_REGISTER_RIP ||
         operands[i].mem.base == ZYDIS_REGISTER_EIP)) {
      return true;
    }
  }
  return false;
}

uint64_t Instruction::Target(uint64_t address) const {
  return address + info.length + info.raw.imm[0].value.u;
}

bool Instruction::IsPadding() const {
  return info.mnemonic == ZYDIS_MNEMONIC_NOP || info.mnemonic == ZYDIS_MNEMONIC_INT3;
}

bool Instruction::UsesRbx() const {
  for (int i = 0; i < info.operand_count; ++i) {
    const ZydisDecodedOperand& operand = operands[i];
    if (operand.type == ZYDIS_OPERAND_TYPE_REGISTER && IsRbx(operand.reg.value)) {
      return true;
    }
    if (operand.type == ZYDIS_OPERAND_TYPE_MEMORY &&
        (IsRbx(operand.mem.base) || IsRbx(operand.mem.index))) {
      return true;
    }
  }
  return false;
}

bool Instruction::SavesRbx() const {
  if (info.mnemonic == ZYDIS_MNEMONIC_PUSH) {
    return operands[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
           operands[0].reg.value == ZYDIS_REGISTER_RBX;
  }
  return info.mnemonic == ZYDIS_MNEMONIC_MOV && operands[0].type == ZYDIS_OPERAND_TYPE_MEMORY &&
         !IsRbx(operands[0].mem.base) && !IsRbx(operands[0].mem.index) &&
         operands[1].type == ZYDIS_OPERAND_TYPE_REGISTER &&
         operands[1].reg.value == ZYDIS_REGISTER_RBX;
}

bool Instruction::ReadsThreadWord(int64_t offset) const {
  return std::any_of(
      operands, operands + info.operand_count, [offset](const ZydisDecodedOperand& operand) {
        return operand.type == ZYDIS_OPERAND_TYPE_MEMORY &&
               operand.mem.segment == ZYDIS_REGISTER_FS &&
               operand.mem.base == ZYDIS_REGISTER_NONE &&
               operand.mem.index == ZYDIS_REGISTER_NONE && operand.mem.disp.value == offset;
      });
}

absl::optional<absl::string_view> Instruction::NotMovable() const {
  const Flow f = flow();
  if (f == Flow::kSequential && IsRelative(info)) {
    return "it has a code address that no copy can express";  // xbegin
  }
  // AMD and Intel disagree on a 16-bit operand size of near branches; with
  // REX.W both ignore it.
  const bool branches = f != Flow::kSequential && f != Flow::kStop;
  if (branches && (info.attributes & ZYDIS_ATTRIB_HAS_OPERANDSIZE) != 0 && info.raw.rex.W == 0) {
    return "processors disagree on a branch with an operand size prefix";
  }
  for (int i = 0; i < info.operand_count; ++i) {
    if (operands[i].type != ZYDIS_OPERAND_TYPE_MEMORY) continue;
    if (operands[i].mem.base == ZYDIS_REGISTER_EIP) {
      return "its operand is relative to a 32-bit rip";
    }
    const bool hidden = operands[i].visibility == ZYDIS_OPERAND_VISIBILITY_HIDDEN;
    if (f == Flow::kIndirectCall && !hidden && operands[i].mem.base == ZYDIS_REGISTER_RSP) {
      return "the callee's address is on the stack that the call moves";
    }
  }
  if (info.meta.branch_type == ZYDIS_BRANCH_TYPE_FAR) return "it is a far branch";
  return absl::nullopt;
}

std::string Instruction::Text(uint64_t address) const {
  ZydisFormatter formatter;
  ZydisFormatterInit(&formatter, ZYDIS_FORMATTER_STYLE_INTEL);
  char text[128];
  if (!ZYAN_SUCCESS(ZydisFormatterFormatInstruction(
          &formatter, &info, operands,
          std::min<ZyanU8>(info.operand_count_visible, ZYDIS_MAX_OPERAND_COUNT), text, sizeof(text),
          address, nullptr))) {
    return "?";
  }
  return text;
}

}  // namespace flightrec::patch
