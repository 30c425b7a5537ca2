#include "services/tracer/patch/code_scan.h"

#include <Zydis/Zydis.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_format.h"
#include "services/tracer/patch/instruction.h"
#include "services/tracer/patch/site.h"

namespace flightrec::patch {
namespace {

using symbols::Function;
using symbols::Module;
using symbols::Segment;

constexpr uint8_t kInside = 1;  // one of the last 4 bytes of a patch
constexpr uint8_t kEntry = 2;   // a function or the start of its patch

constexpr uint8_t kLeaOpcode = 0x8d;
constexpr uint8_t kCallOpcode = 0xe8;

// Lengths and raw fields only: three times as fast as decoding operands.
ZydisDecoder LengthDecoder() {
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_MINIMAL, ZYAN_TRUE);
  return decoder;
}

bool IsRipRelativeLea(const ZydisDecodedInstruction& info) {
  return info.opcode == kLeaOpcode && info.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT &&
         info.raw.modrm.mod == 0 && info.raw.modrm.rm == 5;
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

uint64_t PatchAddress(const Module& module, const Function& function) {
  const bool landing_pad = StartsWithEndbr64(module.BytesAt(function.offset));
  return function.offset + (landing_pad ? kEndbr64Bytes : 0);
}

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
}

const Reference* CodeScan::Inside(uint64_t patch_address) const {
  return FirstIn(inside_, patch_address + 1, patch_address + kPatchBytes);
}

const Reference* CodeScan::LoopToEntry(const Function& function) const {
  return FirstIn(loops_, function.offset, PatchAddress(module_, function) + 1);
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
      const uint64_t patch = PatchAddress(module_, function);
      marks.Set(function.offset, kEntry);
      marks.Set(patch, kEntry);
      for (uint64_t i = 1; i < kPatchBytes; ++i) marks.Set(patch + i, kInside);
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

// Bytes that cannot be decoded are stepped over one by one: data in the code
// can only add references.
void CodeScan::ScanRegion(const std::vector<Marks>& marks, uint64_t begin, uint64_t end,
                          std::vector<uint64_t>& tables) {
  static const ZydisDecoder decoder = LengthDecoder();
  const auto bytes = module_.BytesAt(begin).subspan(0, end - begin);
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
    if (info.raw.imm[0].is_relative == ZYAN_TRUE) {
      Reference branch;
      branch.source = address;
      branch.target = address + info.length + info.raw.imm[0].value.u;
      AddBranch(marks, branch, info.opcode == kCallOpcode);
    } else if (IsRipRelativeLea(info)) {
      tables.push_back(address + info.length + static_cast<uint64_t>(info.raw.disp.value));
    }
  }
}

void CodeScan::AddBranch(const std::vector<Marks>& marks, Reference branch, bool is_call) {
  const uint8_t mark = Marks::At(marks, branch.target);
  if ((mark & kInside) != 0) inside_.push_back(branch);
  if ((mark & kEntry) == 0 || is_call) return;
  const int64_t target = module_.FunctionAt(branch.target);
  if (target >= 0 && target == module_.FunctionAt(branch.source)) {
    loops_.push_back(branch);
  }
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
