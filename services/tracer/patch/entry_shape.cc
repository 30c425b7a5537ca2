#include "services/tracer/patch/entry_shape.h"

#include <algorithm>
#include <cstring>

#include "services/tracer/patch/instruction.h"

namespace flightrec::patch {
namespace {

using symbols::Function;
using symbols::Module;

constexpr uint8_t kXrayJump[] = {0xeb, 0x09};
constexpr uint8_t kXrayNop[] = {0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x02, 0x00, 0x00};
constexpr uint8_t kRet = 0xc3;

bool StartsWith(absl::Span<const uint8_t> bytes, absl::Span<const uint8_t> prefix) {
  return bytes.size() >= prefix.size() &&
         std::memcmp(bytes.data(), prefix.data(), prefix.size()) == 0;
}

bool IsXrayEntry(absl::Span<const uint8_t> bytes) {
  return StartsWith(bytes, kXrayJump) && StartsWith(bytes.subspan(sizeof(kXrayJump)), kXrayNop);
}

// Whole NOPs that make room for a patch, or 0.
uint32_t NopBytes(absl::Span<const uint8_t> bytes) {
  // The first byte of every NOP.
  if (bytes.empty() || (bytes[0] != 0x90 && bytes[0] != 0x0f && bytes[0] != 0x66)) return 0;
  uint32_t length = 0;
  Instruction instruction;
  while (length < kPatchBytes) {
    if (!DecodeInstruction(bytes.subspan(length), instruction)) return 0;
    if (instruction.info.mnemonic != ZYDIS_MNEMONIC_NOP) return 0;
    length += instruction.length();
  }
  return length;
}

int32_t Distance(const uint8_t* bytes) {
  int32_t distance;
  std::memcpy(&distance, bytes, sizeof(distance));
  return distance;
}

uint64_t Offset(uint64_t address, int64_t distance) {
  return address + static_cast<uint64_t>(distance);
}

bool IsProfilerSlot(const Module& module, uint64_t slot) {
  return std::binary_search(module.profiler_slots.begin(), module.profiler_slots.end(), slot);
}

bool IsProfiler(const Module& module, uint64_t target) {
  const int64_t index = module.FunctionAt(target);
  if (index >= 0 && module.functions[static_cast<size_t>(index)].offset == target) {
    return symbols::IsProfilerName(module.functions[static_cast<size_t>(index)].symbol);
  }
  // An entry of the PLT: [endbr64] [bnd] jmp [rip+distance]
  uint64_t address = target;
  auto code = module.BytesAt(address);
  if (StartsWithEndbr64(code)) address += kEndbr64Bytes;
  code = module.BytesAt(address);
  if (!code.empty() && code[0] == 0xf2) code = module.BytesAt(++address);
  if (code.size() < 6 || code[0] != 0xff || code[1] != 0x25) return false;
  return IsProfilerSlot(module, Offset(address + 6, Distance(&code[2])));
}

// The length of a call of __fentry__ at `address`, or 0.
uint32_t ProfilerCallBytes(const Module& module, uint64_t address) {
  const auto code = module.BytesAt(address);
  if (code.size() < 6) return 0;
  if (code[0] == 0xe8 && IsProfiler(module, Offset(address + 5, Distance(&code[1])))) return 5;
  // addr32 call: what a linker makes of the next form
  if (code[0] == 0x67 && code[1] == 0xe8 &&
      IsProfiler(module, Offset(address + 6, Distance(&code[2])))) {
    return 6;
  }
  if (code[0] == 0xff && code[1] == 0x15 &&
      IsProfilerSlot(module, Offset(address + 6, Distance(&code[2])))) {
    return 6;
  }
  return 0;
}

}  // namespace

bool StartsWithXrayExit(absl::Span<const uint8_t> bytes) {
  if (IsXrayEntry(bytes)) return true;
  // The NOP has one more prefix, before or behind 0x66.
  constexpr uint8_t kForms[2][2] = {{0x2e, 0x66}, {0x66, 0x2e}};
  if (bytes.size() < kXraySledBytes || bytes[0] != kRet) return false;
  return std::any_of(std::begin(kForms), std::end(kForms), [bytes](const uint8_t(&form)[2]) {
    return StartsWith(bytes.subspan(1), form) &&
           StartsWith(bytes.subspan(3), absl::MakeConstSpan(kXrayNop).subspan(1));
  });
}

PatchPlaces FindPatchPlaces(const Module& module, const Function& function) {
  PatchPlaces found;
  const auto add = [&found](uint64_t address, uint32_t sled_bytes) {
    found.places[found.count++] = {address, sled_bytes};
  };
  uint64_t start = function.offset;
  auto bytes = module.BytesAt(start);
  if (StartsWithEndbr64(bytes)) {
    start += kEndbr64Bytes;
    bytes = bytes.subspan(kEndbr64Bytes);
  }
  if (IsXrayEntry(bytes)) {
    add(start + kXraySledBytes, 0);
    add(start, kXraySledBytes);
  } else if (const uint32_t nops = NopBytes(bytes); nops != 0) {
    add(start, nops);
  } else {
    if (const uint32_t call = ProfilerCallBytes(module, start); call != 0) add(start + call, 0);
    add(start, 0);
  }
  return found;
}

}  // namespace flightrec::patch
