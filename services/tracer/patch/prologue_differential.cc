#include "services/tracer/patch/prologue_differential.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/types/span.h"
#include "services/tracer/patch/instruction.h"
#include "services/tracer/patch/planner.h"
#include "services/tracer/patch/relocate.h"

namespace flightrec::patch {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kGapToCopies = 1 << 24;
constexpr size_t kCopyAlignment = 16;
// Instead of states in which a site cannot be run.
constexpr uint32_t kSpareStates = 5;
// By RunEnd.
constexpr const char* kEndNames[] = {"left", "raised", "unknown to the emulator",
                                     "reached beyond memory", "did not end"};

struct Copy {
  const Site* site;
  CodeWindow original;
  CodeWindow moved;
};

class Differential {
 public:
  Differential(const symbols::Module& module, const DifferentialOptions& options)
      : module_(module), options_(options), bias_(module.is_pie ? options.load_bias : 0) {}

  absl::StatusOr<DifferentialReport> Run();

 private:
  void CountFunctions();
  absl::Status MoveAll(std::vector<Copy>& copies, std::vector<uint8_t>& code, uint64_t address);
  void CompareSite(Emulator& emulator, const Copy& copy);
  // The mnemonic of an instruction that the emulator cannot or must not run, or "".
  std::string Unpredictable(const Site& site) const;
  // False when `address`, of the process, is not in the window.
  bool InstructionAt(const Site& site, uint64_t address, Instruction& instruction) const;
  std::string MnemonicAt(const Site& site, uint64_t address) const;
  bool RaisesOnPurpose(const Site& site, const RunResult& run) const;

  const symbols::Module& module_;
  const DifferentialOptions& options_;
  const uint64_t bias_;
  PlanResult plan_;
  DifferentialReport report_;
};

absl::StatusOr<DifferentialReport> Differential::Run() {
  std::vector<uint32_t> all(module_.functions.size());
  std::iota(all.begin(), all.end(), 0u);
  plan_ = Planner(module_).Plan(all);
  CountFunctions();
  uint64_t end = 0;
  for (const symbols::Segment& segment : module_.segments) {
    end = std::max(end, segment.vaddr + segment.memory_size + bias_);
  }
  const uint64_t address = (end + kGapToCopies) / kPage * kPage;
  std::vector<Copy> copies;
  std::vector<uint8_t> code;
  absl::Status status = MoveAll(copies, code, address);
  if (!status.ok()) return status;
  auto emulator = Emulator::Create(module_, bias_, address, code, options_.seed);
  if (!emulator.ok()) return emulator.status();
  for (size_t i = 0; i < copies.size(); i += options_.every) CompareSite(**emulator, copies[i]);
  return std::move(report_);
}

void Differential::CountFunctions() {
  report_.functions = module_.functions.size();
  const auto eligible = [this](uint32_t index) {
    const symbols::Function& function = module_.functions[index];
    return !RefusedByName(function) && function.size >= kPatchBytes;
  };
  for (const Site& site : plan_.sites) {
    if (eligible(site.function)) ++report_.hooked;
  }
  report_.eligible = report_.hooked;
  for (const Refusal& refusal : plan_.refusals) {
    if (!eligible(refusal.function)) continue;
    ++report_.eligible;
    ++report_.refused[std::string(ReasonName(refusal.reason))];
  }
}

absl::Status Differential::MoveAll(std::vector<Copy>& copies, std::vector<uint8_t>& code,
                                   uint64_t address) {
  for (const Site& site : plan_.sites) {
    const uint64_t destination = address + code.size();
    const auto moved = RelocatePrologue(site, bias_, destination);
    if (!moved.ok()) return moved.status();
    Copy copy;
    copy.site = &site;
    copy.original.begin = site.address + bias_;
    copy.original.end = copy.original.begin + site.code_length;
    copy.moved.begin = destination;
    copy.moved.end = destination + moved->code.size();
    copies.push_back(copy);
    code.insert(code.end(), moved->code.begin(), moved->code.end());
    while (code.size() % kCopyAlignment != 0) code.push_back(0xcc);
  }
  return absl::OkStatus();
}

bool Differential::InstructionAt(const Site& site, uint64_t address,
                                 Instruction& instruction) const {
  const uint64_t offset = address - site.address - bias_;
  const auto bytes = absl::MakeConstSpan(site.displaced);
  return offset < bytes.size() && DecodeInstruction(bytes.subspan(offset), instruction);
}

std::string Differential::MnemonicAt(const Site& site, uint64_t address) const {
  Instruction instruction;
  if (!InstructionAt(site, address, instruction)) return "?";
  return ZydisMnemonicGetString(instruction.info.mnemonic);
}

std::string Differential::Unpredictable(const Site& site) const {
  Instruction instruction;
  for (uint32_t at = 0; at < site.code_length; at += instruction.length()) {
    if (!DecodeInstruction(absl::MakeConstSpan(site.displaced).subspan(at), instruction)) break;
    switch (instruction.info.mnemonic) {
      case ZYDIS_MNEMONIC_RDTSC:
      case ZYDIS_MNEMONIC_RDTSCP:
      case ZYDIS_MNEMONIC_RDRAND:
      case ZYDIS_MNEMONIC_RDSEED:
      case ZYDIS_MNEMONIC_RDPMC:
      // They store the address of the last x87 instruction.
      case ZYDIS_MNEMONIC_FNSTENV:
      case ZYDIS_MNEMONIC_FNSAVE:
      case ZYDIS_MNEMONIC_FXSAVE:
      case ZYDIS_MNEMONIC_FXSAVE64:
      case ZYDIS_MNEMONIC_XSAVE:
      case ZYDIS_MNEMONIC_XSAVE64:
      case ZYDIS_MNEMONIC_XSAVEC:
      case ZYDIS_MNEMONIC_XSAVEC64:
        return ZydisMnemonicGetString(instruction.info.mnemonic);
      default:
        break;
    }
  }
  return "";
}

// The emulator calls ud2 an unknown instruction.
bool Differential::RaisesOnPurpose(const Site& site, const RunResult& run) const {
  if (run.end == RunEnd::kException) return true;
  Instruction instruction;
  return run.end == RunEnd::kUnsupported && InstructionAt(site, run.next, instruction) &&
         instruction.flow() == Flow::kStop;
}

// A copy that jumps to the rest of its own window has arrived; the original is
// stopped there too.
void Differential::CompareSite(Emulator& emulator, const Copy& copy) {
  const Site& site = *copy.site;
  std::string cause = Unpredictable(site);
  uint32_t compared = 0;
  const uint32_t tries = cause.empty() ? options_.states + kSpareStates : 0;
  for (uint32_t i = 0; i < tries && compared < options_.states; ++i) {
    const uint32_t state = (site.function * 7 + i) % Emulator::kStates;
    const RunResult moved = emulator.Run(copy.moved, state);
    CodeWindow window = copy.original;
    if (moved.end == RunEnd::kLeft) window.stop = moved.next;
    const RunResult original = emulator.Run(window, state);
    if (original.end != RunEnd::kLeft && !RaisesOnPurpose(site, original)) {
      cause = absl::StrCat(MnemonicAt(site, original.next), " ",
                           kEndNames[static_cast<int>(original.end)]);
      continue;
    }
    ++compared;
    const std::string difference = original.Difference(moved);
    if (difference.empty()) continue;
    ++report_.different;
    if (report_.differences.size() < DifferentialReport::kMaxDifferences) {
      report_.differences.push_back(absl::StrFormat("%s at %#x, state %d: the copy %s",
                                                    module_.functions[site.function].name,
                                                    site.address, state, difference));
    }
    break;
  }
  report_.runs += compared;
  if (compared > 0) {
    ++report_.compared;
  } else {
    ++report_.excluded[cause];
  }
}

}  // namespace

double DifferentialReport::HookedShare() const {
  return eligible == 0 ? 0 : static_cast<double>(hooked) / static_cast<double>(eligible);
}

std::string DifferentialReport::Text() const {
  std::string text = absl::StrFormat(
      "%d functions, %d eligible, %d hooked (%.2f %%), %d prologues compared in %d "
      "runs\n",
      functions, eligible, hooked, 100 * HookedShare(), compared, runs);
  for (const auto& [reason, count] : refused)
    absl::StrAppend(&text, "  ", reason, " ", count, "\n");
  for (const auto& [cause, count] : excluded) {
    absl::StrAppend(&text, "  not emulated: ", cause, " ", count, "\n");
  }
  for (const std::string& difference : differences) absl::StrAppend(&text, "  ", difference, "\n");
  return text;
}

absl::StatusOr<DifferentialReport> CompareCopies(const symbols::Module& module,
                                                 const DifferentialOptions& options) {
  return Differential(module, options).Run();
}

}  // namespace flightrec::patch
