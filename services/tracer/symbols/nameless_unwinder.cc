#include "services/tracer/symbols/nameless_unwinder.h"

#include <Zydis/Zydis.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

namespace flightrec::symbols {
namespace {

// mov rax, 15; syscall without its first byte, as an immediate: uw_frame_state_for knows the frames
// of signals by it. No other code has it.
constexpr std::array<uint8_t, 8> kSignalReturn = {0xC7, 0xC0, 0x0F, 0, 0, 0, 0x0F, 0x05};
constexpr uint8_t kCall = 0xE8;
constexpr size_t kCallBytes = 5;
// Around a call of the lookup: its second argument is the address of what it fills, its result is
// compared with nothing.
constexpr int kArgumentsBefore = 8;
constexpr int kComparedWithin = 3;

struct Decoded {
  ZydisDecodedInstruction info;
  std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
  uint64_t address = 0;
};

bool IsRegister(const ZydisDecodedOperand& operand, ZydisRegister reg) {
  return operand.type == ZYDIS_OPERAND_TYPE_REGISTER && operand.reg.value == reg;
}

bool TakesAddress(const Decoded& one) {
  return one.info.mnemonic == ZYDIS_MNEMONIC_LEA && IsRegister(one.operands[0], ZYDIS_REGISTER_RSI);
}

bool ComparesResult(const Decoded& one) {
  return one.info.mnemonic == ZYDIS_MNEMONIC_TEST &&
         IsRegister(one.operands[0], ZYDIS_REGISTER_RAX) &&
         IsRegister(one.operands[1], ZYDIS_REGISTER_RAX);
}

std::vector<Decoded> Decode(const Module& module, const Function& function) {
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  const auto bytes = module.BytesAt(function.offset).subspan(0, function.size);
  std::vector<Decoded> code;
  for (size_t at = 0; at < bytes.size();) {
    Decoded one;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, bytes.data() + at, bytes.size() - at,
                                             &one.info, one.operands.data())))
      break;
    one.address = function.offset + at;
    at += one.info.length;
    code.push_back(one);
  }
  return code;
}

Function* NamelessAt(Module& module, uint64_t address, bool at_its_start) {
  const int64_t index = module.FunctionAt(address);
  if (index < 0) return nullptr;
  Function& function = module.functions[static_cast<size_t>(index)];
  const bool fits = !at_its_start || function.offset == address;
  return fits && function.symbol.empty() ? &function : nullptr;
}

// The first function that `walker` asks.
Function* FindLookup(Module& module, const Function& walker) {
  const std::vector<Decoded> code = Decode(module, walker);
  for (size_t i = 0; i < code.size(); ++i) {
    if (code[i].info.mnemonic != ZYDIS_MNEMONIC_CALL ||
        code[i].info.raw.imm[0].is_relative != ZYAN_TRUE)
      continue;
    const auto call = code.begin() + static_cast<std::ptrdiff_t>(i);
    const auto begin = call - std::min<std::ptrdiff_t>(kArgumentsBefore, call - code.begin());
    const auto end = call + 1 + std::min<std::ptrdiff_t>(kComparedWithin, code.end() - call - 1);
    if (!std::any_of(begin, call, TakesAddress) || !std::any_of(call + 1, end, ComparesResult))
      continue;
    const uint64_t target = call->address + call->info.length + call->info.raw.imm[0].value.u;
    return NamelessAt(module, target, /*at_its_start=*/true);
  }
  return nullptr;
}

// Bytes that look like a call of one of these are one: 4 GiB of other code have one by chance.
void MarkCallers(Module& module, const Segment& code, uint64_t walker, uint64_t lookup) {
  for (size_t at = 0; at + kCallBytes <= code.bytes.size(); ++at) {
    if (code.bytes[at] != kCall) continue;
    int32_t distance;
    std::memcpy(&distance, &code.bytes[at + 1], sizeof(distance));
    const uint64_t address = code.vaddr + at;
    const uint64_t target = address + kCallBytes + static_cast<uint64_t>(int64_t{distance});
    if (target != walker && target != lookup) continue;
    Function* caller = NamelessAt(module, address, /*at_its_start=*/false);
    if (caller != nullptr) caller->kind = Kind::kUnwinder;
  }
}

}  // namespace

void FindNamelessUnwinder(Module& module) {
  bool answered = false;
  for (const Segment& code : module.segments) {
    if (!code.executable) continue;
    auto found = code.bytes.begin();
    while (true) {
      found = std::search(found, code.bytes.end(), kSignalReturn.begin(), kSignalReturn.end());
      if (found == code.bytes.end()) break;
      const uint64_t address = code.vaddr + static_cast<uint64_t>(found++ - code.bytes.begin());
      // A function with a name is found by that.
      Function* walker = NamelessAt(module, address, /*at_its_start=*/false);
      if (walker == nullptr) continue;
      walker->kind = Kind::kUnwinder;
      module.unwinder_is_hidden = true;
      Function* lookup = FindLookup(module, *walker);
      if (lookup == nullptr) continue;
      MarkCallers(module, code, walker->offset, lookup->offset);
      lookup->kind = Kind::kUnwinderLookup;
      answered = true;
    }
  }
  if (answered) module.unwinder_is_hidden = false;
}

}  // namespace flightrec::symbols
