#include "services/tracer/patch/planner.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/tracer/patch/code_scan.h"
#include "services/tracer/patch/entry_shape.h"
#include "services/tracer/patch/instruction.h"

namespace flightrec::patch {
namespace {

using symbols::CodeRange;
using symbols::Function;
using symbols::Module;

struct Problem {
  RefusalReason reason;
  std::string detail;
};

// The unwind information of a function whose return address is on top of the
// stack starts with it; without any, the symbol is trusted.
absl::optional<Problem> EntryProblem(const Module& module, const Function& function) {
  auto after =
      std::upper_bound(module.code_ranges.begin(), module.code_ranges.end(), function.offset,
                       [](uint64_t offset, const CodeRange& r) { return offset < r.offset; });
  if (after == module.code_ranges.begin()) return absl::nullopt;
  const CodeRange& range = *(after - 1);
  if (range.offset == function.offset) {
    if (range.starts_at_call) return absl::nullopt;
    return Problem{RefusalReason::kNotAFunctionEntry,
                   "its unwind information has a frame at the first byte"};
  }
  if (function.offset - range.offset >= range.size) return absl::nullopt;
  return Problem{RefusalReason::kNotAFunctionEntry,
                 absl::StrFormat("it is inside the code that starts at %#x", range.offset)};
}

// `bytes` start with the instruction; it ends `end` bytes behind the patch.
absl::optional<Problem> InstructionProblem(const Instruction& instruction,
                                           absl::Span<const uint8_t> bytes, uint64_t address,
                                           uint32_t end) {
  if (const auto why = instruction.NotMovable()) {
    return Problem{RefusalReason::kUnrelocatable,
                   absl::StrCat(instruction.Text(address), ": ", *why)};
  }
  if (StartsWithXrayExit(bytes)) {
    return Problem{RefusalReason::kTooShort, "the program's XRay runtime may rewrite its end"};
  }
  const Flow flow = instruction.flow();
  const bool is_call = flow == Flow::kCall || flow == Flow::kIndirectCall;
  if (is_call && end < kPatchBytes) {
    return Problem{RefusalReason::kCallReturnsIntoPatch,
                   absl::StrFormat("%s returns to byte %d", instruction.Text(address), end)};
  }
  return absl::nullopt;
}

// Adds whole instructions to the site until the patch fits or the prologue
// ends. `bytes` are those from the site on, `size` of them in the function.
absl::optional<Problem> DisplaceCode(absl::Span<const uint8_t> bytes, uint64_t size, Site& site) {
  Instruction instruction;
  bool ended = false;
  while (site.length < kPatchBytes && !ended) {
    if (site.length >= size) {
      return Problem{RefusalReason::kTooShort, absl::StrCat(size, " bytes, then it runs on")};
    }
    const auto at = bytes.subspan(site.length);
    if (!DecodeInstruction(at, instruction) || site.length + instruction.length() > size) {
      return Problem{RefusalReason::kUndecodable, absl::StrCat("at byte ", site.length)};
    }
    const uint64_t address = site.address + site.length;
    site.length += instruction.length();
    if (auto problem = InstructionProblem(instruction, at, address, site.length)) {
      return problem;
    }
    ended = instruction.EndsPrologue();
  }
  site.code_length = site.length;
  return absl::nullopt;
}

// Alignment behind a function that ends early makes room for the patch.
absl::optional<Problem> DisplacePadding(absl::Span<const uint8_t> bytes, const CodeScan& scan,
                                        Site& site) {
  Instruction instruction;
  while (site.length < kPatchBytes) {
    if (!DecodeInstruction(bytes.subspan(site.length), instruction) || !instruction.IsPadding()) {
      return Problem{RefusalReason::kTooShort,
                     absl::StrCat(site.length, " bytes before other code")};
    }
    site.length += instruction.length();
  }
  if (scan.StartsBetween(site.entry, site.address + kPatchBytes)) {
    return Problem{RefusalReason::kTooShort, "another function starts inside the 5 bytes"};
  }
  return absl::nullopt;
}

// The stub keeps a pointer in rbx while the body runs. A body that follows the
// ABI saves rbx before any other use and restores it.
absl::optional<Problem> RbxProblem(absl::Span<const uint8_t> bytes, uint64_t address) {
  Instruction instruction;
  for (size_t at = 0; at < bytes.size();) {
    if (!DecodeInstruction(bytes.subspan(at), instruction)) {
      ++at;
      continue;
    }
    if (instruction.UsesRbx()) {
      if (instruction.SavesRbx()) return absl::nullopt;
      return Problem{RefusalReason::kUsesRbx,
                     absl::StrFormat("%s at %#x", instruction.Text(address + at), address + at)};
    }
    at += instruction.length();
  }
  return absl::nullopt;
}

constexpr int64_t kPointerGuard = 0x30;

// The first instruction of a function that is one of them.
template <typename IsOne>
absl::optional<Problem> FirstSuspect(absl::Span<const uint8_t> bytes, uint64_t address,
                                     const IsOne& is_one) {
  Instruction instruction;
  for (size_t at = 0; at < bytes.size();) {
    if (!DecodeInstruction(bytes.subspan(at), instruction)) {
      ++at;
      continue;
    }
    if (is_one(instruction, address + at)) {
      return Problem{RefusalReason::kSavesContext,
                     absl::StrFormat("nameless, with %s at %#x", instruction.Text(address + at),
                                     address + at)};
    }
    at += instruction.length();
  }
  return absl::nullopt;
}

// Without a name the families that save a stack pointer or share a stack are
// known by what they do: setjmp and longjmp mangle pointers with fs:[0x30], the
// rest is a bare system call. _setjmp jumps to a function that all of them share.
absl::optional<Problem> NamelessProblem(const Module& module, absl::Span<const uint8_t> bytes,
                                        uint64_t address) {
  const auto mangles = [](const Instruction& instruction, uint64_t) {
    return instruction.ReadsThreadWord(kPointerGuard);
  };
  const auto jumps_to_one = [&](const Instruction& instruction, uint64_t at) {
    if (instruction.flow() != Flow::kJump) return false;
    const uint64_t target = instruction.Target(at);
    const int64_t index = module.FunctionAt(target);
    if (index < 0 || target - address < bytes.size()) return false;
    const Function& next = module.functions[static_cast<size_t>(index)];
    return next.offset == target &&
           FirstSuspect(module.BytesAt(target).subspan(0, next.size), target, mangles).has_value();
  };
  return FirstSuspect(bytes, address, [&](const Instruction& instruction, uint64_t at) {
    return instruction.info.mnemonic == ZYDIS_MNEMONIC_SYSCALL || mangles(instruction, at) ||
           jumps_to_one(instruction, at);
  });
}

absl::optional<Problem> ReferenceProblem(const CodeScan& scan, const Function& function,
                                         uint64_t patch) {
  if (const Reference* inside = scan.Inside(patch)) {
    return Problem{RefusalReason::kJumpIntoPrologue, inside->Text()};
  }
  if (const Reference* loop = scan.LoopToEntry(function, patch)) {
    return Problem{RefusalReason::kLoopsToEntry, loop->Text()};
  }
  return absl::nullopt;
}

// What does not depend on where the patch goes.
absl::optional<Problem> FunctionProblem(const Module& module, const CodeScan& scan,
                                        const Function& function, uint32_t index) {
  const symbols::Segment* segment = module.SegmentAt(function.offset);
  if (segment == nullptr || !segment->executable) {
    return Problem{RefusalReason::kNotInCode, absl::StrFormat("at %#x", function.offset)};
  }
  if (auto problem = EntryProblem(module, function)) return problem;
  if (scan.Nested(index)) {
    return Problem{RefusalReason::kNotAFunctionEntry, "it is inside another function"};
  }
  return absl::nullopt;
}

absl::optional<Problem> FillSite(const Module& module, const CodeScan& scan,
                                 const Function& function, const PatchPlace& place, Site& site) {
  site.entry = function.offset;
  site.address = place.address;
  const uint64_t skipped = site.address - site.entry;
  if (function.size <= skipped) {
    return Problem{RefusalReason::kTooShort, absl::StrCat(function.size, " bytes")};
  }
  const auto bytes = module.BytesAt(site.address);
  const uint64_t size = function.size - skipped;
  if (place.sled_bytes != 0) {
    if (size < place.sled_bytes) return Problem{RefusalReason::kTooShort, "its sled is cut off"};
    site.sled = true;
    site.length = site.code_length = place.sled_bytes;
  } else {
    if (auto problem = DisplaceCode(bytes, size, site)) return problem;
    if (auto problem = DisplacePadding(bytes, scan, site)) return problem;
  }
  if (auto problem = ReferenceProblem(scan, function, site.address)) {
    return problem;
  }
  if (auto problem = RbxProblem(bytes.subspan(0, size), site.address)) {
    return problem;
  }
  if (function.symbol.empty()) {
    if (const Reference* jump = scan.ContinuesAnother(function)) {
      return Problem{RefusalReason::kColdFragment, jump->Text()};
    }
    if (auto problem = NamelessProblem(module, bytes.subspan(0, size), site.address)) {
      return problem;
    }
  }
  const auto displaced = bytes.subspan(0, site.length);
  site.displaced.assign(displaced.begin(), displaced.end());
  return absl::nullopt;
}

}  // namespace

Planner::Planner(const Module& module)
    : module_(module),
      refused_module_(RefusedByModule(module)),
      scan_(std::make_unique<const CodeScan>(module)) {}

Planner::~Planner() = default;

std::variant<Site, Refusal> Planner::PlanSite(uint32_t function, NamePolicy names) const {
  if (function >= module_.functions.size()) {
    return Refusal{function, RefusalReason::kNotInCode,
                   absl::StrCat("the module has ", module_.functions.size(), " functions")};
  }
  const Function& candidate = module_.functions[function];
  if (names == NamePolicy::kRefuseReserved) {
    if (refused_module_.has_value()) return Refusal{function, *refused_module_, module_.path};
    if (const auto reason = RefusedByName(candidate)) {
      return Refusal{function, *reason, candidate.symbol};
    }
  }
  auto problem = FunctionProblem(module_, *scan_, candidate, function);
  if (!problem.has_value()) {
    for (const PatchPlace& place : FindPatchPlaces(module_, candidate)) {
      Site site;
      site.function = function;
      problem = FillSite(module_, *scan_, candidate, place, site);
      if (!problem.has_value()) return site;
    }
  }
  return Refusal{function, problem->reason, std::move(problem->detail)};
}

PlanResult Planner::Plan(absl::Span<const uint32_t> functions) const {
  std::vector<uint32_t> sorted(functions.begin(), functions.end());
  std::sort(sorted.begin(), sorted.end());
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  PlanResult result;
  for (const uint32_t function : sorted) {
    auto planned = PlanSite(function);
    if (auto* site = std::get_if<Site>(&planned)) {
      result.sites.push_back(std::move(*site));
    } else {
      result.refusals.push_back(std::get<Refusal>(std::move(planned)));
    }
  }
  return result;
}

}  // namespace flightrec::patch
