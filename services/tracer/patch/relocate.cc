#include "services/tracer/patch/relocate.h"

#include <cstring>
#include <limits>
#include <string>

#include "absl/strings/str_format.h"
#include "services/tracer/patch/instruction.h"

namespace flightrec::patch {
namespace {

constexpr uint8_t kJmpRel32 = 0xe9;
constexpr uint8_t kJmpRel8 = 0xeb;

bool FitsInt32(int64_t value) {
  return value >= std::numeric_limits<int32_t>::min() &&
         value <= std::numeric_limits<int32_t>::max();
}

// Distance from the end of an instruction to its target.
int64_t Distance(uint64_t end, uint64_t target) { return static_cast<int64_t>(target - end); }

absl::Status TooFar(const std::string& what, uint64_t from, uint64_t to) {
  return absl::OutOfRangeError(
      absl::StrFormat("%s at %#x cannot reach %#x: more than 2 GiB apart; place the stub "
                      "nearer to the module",
                      what, from, to));
}

class Relocator {
 public:
  Relocator(const Site& site, uint64_t load_bias, uint64_t destination)
      : site_(site), source_(site.address + load_bias), destination_(destination) {}

  absl::StatusOr<RelocatedPrologue> Run();

 private:
  absl::Status Move(const Instruction& instruction, uint32_t offset);
  absl::Status CopyWithOperand(const Instruction& instruction, uint32_t offset);
  absl::Status MoveConditional(const Instruction& instruction, uint64_t target);
  absl::Status MoveCounted(const Instruction& instruction, uint32_t offset, uint64_t target);
  absl::Status MoveCall(const Instruction& instruction, uint32_t offset);
  absl::Status JumpToCallee(const Instruction& instruction, uint32_t offset);
  void JumpBack(uint64_t target);
  // `opcode` followed by the distance to the target.
  absl::Status Branch(std::initializer_list<uint8_t> opcode, uint64_t target);

  uint64_t Here() const { return destination_ + result_.code.size(); }
  void Emit(std::initializer_list<uint8_t> bytes) {
    result_.code.insert(result_.code.end(), bytes);
  }
  void Emit32(uint32_t value) { EmitBytes(&value, sizeof(value)); }
  void EmitBytes(const void* bytes, size_t size) {
    const auto* first = static_cast<const uint8_t*>(bytes);
    result_.code.insert(result_.code.end(), first, first + size);
  }

  const Site& site_;
  const uint64_t source_;       // of the process
  const uint64_t destination_;  // of the process
  RelocatedPrologue result_;
};

absl::StatusOr<RelocatedPrologue> Relocator::Run() {
  const auto bytes = absl::MakeConstSpan(site_.displaced);
  if (site_.length < kPatchBytes || bytes.size() != site_.length ||
      site_.code_length > site_.length) {
    return absl::InvalidArgumentError(
        absl::StrFormat("site at %#x has %d displaced bytes, length %d and code length %d; "
                        "take sites from a Planner",
                        site_.address, bytes.size(), site_.length, site_.code_length));
  }
  bool ended = false;
  uint32_t offset = 0;
  Instruction instruction;
  while (offset < site_.code_length) {
    if (ended ||
        !DecodeInstruction(bytes.subspan(offset, site_.code_length - offset), instruction)) {
      return absl::InvalidArgumentError(
          absl::StrFormat("site at %#x is not whole instructions at byte %d; take sites from "
                          "a Planner",
                          site_.address, offset));
    }
    result_.landmarks.push_back({offset, static_cast<uint32_t>(result_.code.size())});
    if (!site_.sled) {
      absl::Status moved = Move(instruction, offset);
      if (!moved.ok()) return moved;
      ended = instruction.EndsPrologue();
    }
    offset += instruction.length();
  }
  if (!ended) {
    result_.jump_back = Landmark{site_.code_length, static_cast<uint32_t>(result_.code.size())};
    JumpBack(source_ + site_.code_length);
  }
  return std::move(result_);
}

absl::Status Relocator::Move(const Instruction& instruction, uint32_t offset) {
  const uint64_t address = source_ + offset;
  if (const auto why = instruction.NotMovable()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("site at %#x has %s at byte %d: %s; take sites from a Planner",
                        site_.address, instruction.Text(address), offset, std::string(*why)));
  }
  switch (instruction.flow()) {
    case Flow::kConditional:
      return MoveConditional(instruction, instruction.Target(address));
    case Flow::kCounted:
      return MoveCounted(instruction, offset, instruction.Target(address));
    case Flow::kJump:
      return Branch({kJmpRel32}, instruction.Target(address));
    case Flow::kCall:
    case Flow::kIndirectCall:
      return MoveCall(instruction, offset);
    default:
      return CopyWithOperand(instruction, offset);
  }
}

absl::Status Relocator::CopyWithOperand(const Instruction& instruction, uint32_t offset) {
  const uint64_t start = Here();
  const size_t position = result_.code.size();
  EmitBytes(site_.displaced.data() + offset, instruction.length());
  if (!instruction.RipRelative()) return absl::OkStatus();
  const uint64_t operand = source_ + offset + instruction.length() +
                           static_cast<uint64_t>(instruction.info.raw.disp.value);
  const int64_t distance = Distance(start + instruction.length(), operand);
  if (!FitsInt32(distance)) {
    return TooFar(instruction.Text(source_ + offset), start, operand);
  }
  const auto value = static_cast<int32_t>(distance);
  std::memcpy(&result_.code[position + instruction.info.raw.disp.offset], &value, sizeof(value));
  return absl::OkStatus();
}

absl::Status Relocator::MoveConditional(const Instruction& instruction, uint64_t target) {
  // 7x (short) and 0F 8x (near) have the condition in the low 4 bits.
  const auto condition = static_cast<uint8_t>(instruction.info.opcode & 0x0f);
  return Branch({0x0f, static_cast<uint8_t>(0x80 | condition)}, target);
}

//   loop taken       the original instruction with distance 2
//   jmp not_taken    over the next one
// taken:
//   jmp target
// not_taken:
absl::Status Relocator::MoveCounted(const Instruction& instruction, uint32_t offset,
                                    uint64_t target) {
  const size_t position = result_.code.size();
  EmitBytes(site_.displaced.data() + offset, instruction.length());
  result_.code[position + instruction.info.raw.imm[0].offset] = 2;
  Emit({kJmpRel8, 5});
  return Branch({kJmpRel32}, target);
}

//   push [rip + distance]
//   jmp callee
//   .quad return address
//
// No push takes a 64-bit constant, and a signal handler must not find half of
// the address on the stack.
absl::Status Relocator::MoveCall(const Instruction& instruction, uint32_t offset) {
  Emit({0xff, 0x35});
  const size_t distance = result_.code.size();
  Emit32(0);
  result_.called = static_cast<uint32_t>(result_.code.size());
  absl::Status jumped = JumpToCallee(instruction, offset);
  if (!jumped.ok()) return jumped;
  const auto jump_bytes = static_cast<uint32_t>(result_.code.size() - result_.called);
  std::memcpy(&result_.code[distance], &jump_bytes, sizeof(jump_bytes));
  const uint64_t after = source_ + offset + instruction.length();
  EmitBytes(&after, sizeof(after));
  return absl::OkStatus();
}

absl::Status Relocator::JumpToCallee(const Instruction& instruction, uint32_t offset) {
  if (instruction.flow() == Flow::kCall) {
    return Branch({kJmpRel32}, instruction.Target(source_ + offset));
  }
  absl::Status copied = CopyWithOperand(instruction, offset);
  if (!copied.ok()) return copied;
  // FF /2 is a call and FF /4 a jump with the same operand.
  uint8_t& modrm = result_.code[result_.called + instruction.info.raw.modrm.offset];
  modrm = static_cast<uint8_t>((modrm & ~0x38) | (4 << 3));
  return absl::OkStatus();
}

void Relocator::JumpBack(uint64_t target) {
  if (Branch({kJmpRel32}, target).ok()) return;
  Emit({0xff, 0x25, 0, 0, 0, 0});  // jmp [rip+0]; .quad target
  EmitBytes(&target, sizeof(target));
}

absl::Status Relocator::Branch(std::initializer_list<uint8_t> opcode, uint64_t target) {
  const uint64_t start = Here();
  const int64_t distance = Distance(start + opcode.size() + 4, target);
  if (!FitsInt32(distance)) return TooFar("a relocated branch", start, target);
  Emit(opcode);
  Emit32(static_cast<uint32_t>(distance));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RelocatedPrologue> RelocatePrologue(const Site& site, uint64_t load_bias,
                                                   uint64_t destination) {
  return Relocator(site, load_bias, destination).Run();
}

absl::StatusOr<std::array<uint8_t, kPatchBytes>> EncodeJump(uint64_t from, uint64_t to) {
  const int64_t distance = Distance(from + kPatchBytes, to);
  if (!FitsInt32(distance)) return TooFar("a jump", from, to);
  std::array<uint8_t, kPatchBytes> code{kJmpRel32};
  const auto value = static_cast<int32_t>(distance);
  std::memcpy(&code[1], &value, sizeof(value));
  return code;
}

}  // namespace flightrec::patch
