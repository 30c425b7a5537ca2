#include "services/tracer/patch/code_scan.h"

#include <Zydis/Zydis.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_format.h"
#include "services/tracer/patch/entry_shape.h"
#include "services/tracer/patch/instruction.h"
#include "services/tracer/patch/site.h"

namespace flightrec::patch {
namespace {

using symbols::Function;
using symbols::Module;
using symbols::Segment;

constexpr uint8_t kInside = 1;  // one of the last 4 bytes of a patch
constexpr uint8_t kEntry = 2;   // a function or the start of one of its patch places

constexpr uint8_t kCallOpcode = 0xe8;
constexpr uint64_t kMaxInstructionBytes = 15;

// Lengths and raw fields only: three times as fast as decoding operands.
ZydisDecoder LengthDecoder() {
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_MINIMAL, ZYAN_TRUE);
  return decoder;
}

uint64_t Distance32(const uint8_t* bytes) {
  int32_t distance;
  std::memcpy(&distance, bytes, sizeof(distance));
  return static_cast<uint64_t>(int64_t{distance});
}

uint64_t Distance8(const uint8_t* byte) {
  return static_cast<uint64_t>(int64_t{static_cast<int8_t>(*byte)});
}

// lea r64, [rip + distance]
bool LooksLikeTableAddress(const uint8_t* code, size_t size) {
  return size >= 7 && (code[0] & 0xf8) == 0x48 && code[1] == 0x8d && (code[2] & 0xc7) == 0x05;
}

bool IsShortJcc(uint8_t opcode) { return (opcode & 0xf0) == 0x70; }
bool IsNearJcc(uint8_t opcode_after_0f) { return (opcode_after_0f & 0xf0) == 0x80; }

BranchKind KindOf(const ZydisDecodedInstruction& info) {
  if (info.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT) {
    if (info.opcode == kCallOpcode) return BranchKind::kCall;
    if (IsShortJcc(info.opcode)) return BranchKind::kConditional;
  }
  const bool near_jcc = info.opcode_map == ZYDIS_OPCODE_MAP_0F && IsNearJcc(info.opcode);
  return near_jcc ? BranchKind::kConditional : BranchKind::kJump;
}

// The bytes from an opcode on, taken for a branch. Prefixes come before.
struct RawBranch {
  uint8_t length = 0;  // 0: not a branch
  BranchKind kind = BranchKind::kJump;
  uint64_t distance = 0;
};

RawBranch RawBranchAt(const uint8_t* code, size_t size) {
  const uint8_t opcode = code[0];
  const bool short_form = IsShortJcc(opcode) || opcode == 0xeb || (opcode & 0xfc) == 0xe0;
  if (short_form && size >= 2) {
    const auto kind = IsShortJcc(opcode) ? BranchKind::kConditional : BranchKind::kJump;
    return {2, kind, Distance8(code + 1)};
  }
  if ((opcode & 0xfe) == 0xe8 && size >= 5) {  // call, jmp
    const auto kind = opcode == kCallOpcode ? BranchKind::kCall : BranchKind::kJump;
    return {5, kind, Distance32(code + 1)};
  }
  if (size < 6) return {};
  if (opcode == 0x0f && IsNearJcc(code[1])) {
    return {6, BranchKind::kConditional, Distance32(code + 2)};
  }
  const bool xbegin = opcode == 0xc7 && code[1] == 0xf8;
  if (xbegin) return {6, BranchKind::kJump, Distance32(code + 2)};
  return {};
}

bool TargetBefore(const Reference& reference, uint64_t target) { return reference.target < target; }

bool ByTargetThenSource(const Reference& a, const Reference& b) {
  return a.target != b.target ? a.target < b.target : a.source < b.source;
}

// First reference with a target in [begin, end), or nullptr.
const Reference* FirstIn(const std::vector<Reference>& references, uint64_t begin, uint64_t end) {
  auto found = std::lower_bound(references.begin(), references.end(), begin, TargetBefore);
  return found != references.end() && found->target < end ? &*found : nullptr;
}

}  // namespace

struct CodeScan::Marks {
  uint64_t vaddr = 0;
  std::vector<uint8_t> bytes;

  void Set(uint64_t address, uint8_t mark) {
    if (address - vaddr < bytes.size()) bytes[address - vaddr] |= mark;
  }

  static uint8_t At(const std::vector<Marks>& all, uint64_t address) {
    for (const Marks& marks : all) {
      if (address - marks.vaddr < marks.bytes.size()) {
        return marks.bytes[address - marks.vaddr];
      }
    }
    return 0;
  }

  static bool IsCode(const std::vector<Marks>& all, uint64_t address) {
    return std::any_of(all.begin(), all.end(), [address](const Marks& marks) {
      return address - marks.vaddr < marks.bytes.size();
    });
  }
};

std::string Reference::Text() const {
  switch (kind) {
    case ReferenceKind::kBranch:
      return absl::StrFormat("branch at %#x to %#x", source, target);
    case ReferenceKind::kTableEntry:
      return absl::StrFormat("jump table entry at %#x to %#x", source, target);
    case ReferenceKind::kAbsolute:
      return absl::StrFormat("pointer at %#x to %#x", source, target);
    case ReferenceKind::kRelocation:
      return absl::StrFormat("relocated pointer to %#x", target);
  }
  return "";
}

CodeScan::CodeScan(const Module& module) : module_(module) {
  CollectStarts();
  const std::vector<Marks> marks = MarkPatches();
  ScanCode(marks);
  ScanPointers(marks);
  std::sort(inside_.begin(), inside_.end(), ByTargetThenSource);
  std::sort(loops_.begin(), loops_.end(), ByTargetThenSource);
  std::sort(continuations_.begin(), continuations_.end(), ByTargetThenSource);
}

const Reference* CodeScan::Inside(uint64_t patch_address) const {
  return FirstIn(inside_, patch_address + 1, patch_address + kPatchBytes);
}

const Reference* CodeScan::LoopToEntry(const Function& function, uint64_t patch_address) const {
  // The jump over an XRay sled comes before the patch: it is no loop.
  auto loop = std::lower_bound(loops_.begin(), loops_.end(), function.offset, TargetBefore);
  for (; loop != loops_.end() && loop->target <= patch_address; ++loop) {
    if (loop->source >= patch_address) return &*loop;
  }
  return nullptr;
}

const Reference* CodeScan::ContinuesAnother(const Function& function) const {
  return FirstIn(continuations_, function.offset, function.offset + 1);
}

bool CodeScan::StartsBetween(uint64_t begin, uint64_t end) const {
  auto found = std::upper_bound(starts_.begin(), starts_.end(), begin);
  return found != starts_.end() && *found < end;
}

void CodeScan::CollectStarts() {
  uint64_t end_of_previous = 0;
  for (const Function& function : module_.functions) {
    starts_.push_back(function.offset);
    nested_.push_back(function.offset < end_of_previous);
    end_of_previous = std::max(end_of_previous, function.offset + function.size);
  }
  for (const symbols::CodeRange& range : module_.code_ranges) {
    starts_.push_back(range.offset);
  }
  std::sort(starts_.begin(), starts_.end());
  starts_.erase(std::unique(starts_.begin(), starts_.end()), starts_.end());
}

std::vector<CodeScan::Marks> CodeScan::MarkPatches() const {
  std::vector<Marks> all;
  for (const Segment& segment : module_.segments) {
    if (!segment.executable) continue;
    Marks marks;
    marks.vaddr = segment.vaddr;
    marks.bytes.resize(segment.bytes.size());
    for (const Function& function : module_.functions) {
      if (!segment.Contains(function.offset)) continue;
      marks.Set(function.offset, kEntry);
      for (const PatchPlace& place : FindPatchPlaces(module_, function)) {
        marks.Set(place.address, kEntry);
        for (uint64_t i = 1; i < kPatchBytes; ++i) marks.Set(place.address + i, kInside);
      }
    }
    all.push_back(std::move(marks));
  }
  return all;
}

// Linear decoding starts anew at every known start, so that data between
// functions cannot shift it.
void CodeScan::ScanCode(const std::vector<Marks>& marks) {
  std::vector<uint64_t> tables;
  for (const Marks& code : marks) {
    uint64_t begin = code.vaddr;
    const uint64_t end = code.vaddr + code.bytes.size();
    auto next = std::upper_bound(starts_.begin(), starts_.end(), begin);
    while (begin < end) {
      const uint64_t region_end = next != starts_.end() ? std::min(*next++, end) : end;
      ScanRegion(marks, begin, region_end, tables);
      begin = region_end;
    }
  }
  ScanTables(marks, std::move(tables));
}

// Decoding all code would take seconds for the largest libraries. A branch has
// its opcode somewhere, so a look at every byte as if it were one finds at least
// the real branches; only then instructions are decoded to see which are real.
void CodeScan::ScanRegion(const std::vector<Marks>& marks, uint64_t begin, uint64_t end,
                          std::vector<uint64_t>& tables) {
  const auto bytes = module_.BytesAt(begin).subspan(0, end - begin);
  uint64_t last_candidate = 0;
  for (size_t at = 0; at < bytes.size(); ++at) {
    const uint8_t* code = bytes.data() + at;
    const size_t left = bytes.size() - at;
    if (LooksLikeTableAddress(code, left)) {
      tables.push_back(begin + at + 7 + Distance32(code + 3));
      continue;
    }
    const RawBranch raw = RawBranchAt(code, left);
    if (raw.length == 0) continue;
    const uint64_t source = begin + at;
    if (Matters(marks, source, source + raw.length + raw.distance, raw.kind)) {
      last_candidate = source;
    }
  }
  if (last_candidate != 0)
    DecodeBranches(marks, begin, bytes.subspan(0, last_candidate - begin + kMaxInstructionBytes));
}

// Bytes that cannot be decoded are stepped over one by one: data in the code
// can only add references.
void CodeScan::DecodeBranches(const std::vector<Marks>& marks, uint64_t begin,
                              absl::Span<const uint8_t> bytes) {
  static const ZydisDecoder decoder = LengthDecoder();
  ZydisDecodedInstruction info;
  size_t at = 0;
  while (at < bytes.size()) {
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, nullptr, bytes.data() + at,
                                                    bytes.size() - at, &info))) {
      ++at;
      continue;
    }
    const uint64_t address = begin + at;
    at += info.length;
    if (info.raw.imm[0].is_relative != ZYAN_TRUE) continue;
    Reference branch;
    branch.source = address;
    branch.target = address + info.length + info.raw.imm[0].value.u;
    AddBranch(marks, branch, KindOf(info));
  }
}

bool CodeScan::SameFunction(uint64_t a, uint64_t b) const {
  const int64_t function = module_.FunctionAt(a);
  return function >= 0 && function == module_.FunctionAt(b);
}

bool CodeScan::Matters(const std::vector<Marks>& marks, uint64_t source, uint64_t target,
                       BranchKind kind) const {
  const uint8_t mark = Marks::At(marks, target);
  if ((mark & kInside) != 0) return true;
  if ((mark & kEntry) == 0 || kind == BranchKind::kCall) return false;
  return kind == BranchKind::kConditional || SameFunction(source, target);
}

void CodeScan::AddBranch(const std::vector<Marks>& marks, Reference branch, BranchKind kind) {
  if (!Matters(marks, branch.source, branch.target, kind)) return;
  const uint8_t mark = Marks::At(marks, branch.target);
  if ((mark & kInside) != 0) inside_.push_back(branch);
  if ((mark & kEntry) == 0 || kind == BranchKind::kCall) return;
  (SameFunction(branch.source, branch.target) ? loops_ : continuations_).push_back(branch);
}

// A jump table of position independent code holds 32-bit distances from its own
// start. Nothing says where it ends: it is read up to the next address that
// code takes, as long as the entries lead to code.
void CodeScan::ScanTables(const std::vector<Marks>& marks, std::vector<uint64_t> tables) {
  std::sort(tables.begin(), tables.end());
  tables.erase(std::unique(tables.begin(), tables.end()), tables.end());
  for (size_t i = 0; i < tables.size(); ++i) {
    const uint64_t table = tables[i];
    const Segment* segment = module_.SegmentAt(table);
    if (segment == nullptr || segment->writable) continue;
    auto bytes = module_.BytesAt(table);
    if (i + 1 < tables.size()) {
      bytes = bytes.subspan(0, std::min<uint64_t>(bytes.size(), tables[i + 1] - table));
    }
    for (size_t at = 0; at + 4 <= bytes.size(); at += 4) {
      int32_t distance;
      std::memcpy(&distance, bytes.data() + at, sizeof(distance));
      Reference entry;
      entry.kind = ReferenceKind::kTableEntry;
      entry.source = table + at;
      entry.target = table + static_cast<uint64_t>(int64_t{distance});
      if (!Marks::IsCode(marks, entry.target)) break;
      if ((Marks::At(marks, entry.target) & kInside) != 0) {
        inside_.push_back(entry);
      }
    }
  }
}

// Jump tables of absolute addresses: in position independent files each entry
// has a relocation, in others any aligned word may be one.
void CodeScan::ScanPointers(const std::vector<Marks>& marks) {
  for (const uint64_t target : module_.code_pointers) {
    if ((Marks::At(marks, target) & kInside) == 0) continue;
    inside_.push_back({target, 0, ReferenceKind::kRelocation});
  }
  if (module_.is_pie) return;
  for (const Segment& segment : module_.segments) {
    for (size_t at = (8 - segment.vaddr % 8) % 8; at + 8 <= segment.bytes.size(); at += 8) {
      uint64_t target;
      std::memcpy(&target, segment.bytes.data() + at, sizeof(target));
      if ((Marks::At(marks, target) & kInside) == 0) continue;
      inside_.push_back({target, segment.vaddr + at, ReferenceKind::kAbsolute});
    }
  }
}

}  // namespace flightrec::patch
