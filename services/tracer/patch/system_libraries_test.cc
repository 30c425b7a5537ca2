// Plans and relocates every function of the libraries installed here and
// compares each moved instruction with its original.

#include <unistd.h>

#include <cstring>
#include <iostream>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "services/tracer/patch/instruction.h"
#include "services/tracer/patch/planner.h"
#include "services/tracer/patch/relocate.h"
#include "services/tracer/symbols/module.h"
#include "services/tracer/symbols/module_reader.h"

namespace flightrec::patch {
namespace {

constexpr uint64_t kBias = 0x7f1200000000;
constexpr uint64_t kDestination = kBias + 0x20000000;
constexpr size_t kPushReturnBytes = 6;

// Those of the libraries that are installed here, each once.
std::vector<std::string> InstalledLibraries() {
  std::vector<std::string> found;
  for (const char* name : {"libc.so.6", "libstdc++.so.6", "libcrypto.so.3", "libsqlite3.so.0",
                           "libm.so.6", "libgcc_s.so.1", "libz.so.1"}) {
    for (const char* folder : {"/lib/x86_64-linux-gnu/", "/usr/lib/x86_64-linux-gnu/", "/lib64/"}) {
      const std::string path = absl::StrCat(folder, name);
      if (access(path.c_str(), R_OK) != 0) continue;
      found.push_back(path);
      break;
    }
  }
  return found;
}

struct Copy {
  absl::Span<const uint8_t> code;
  uint64_t address;
};

// The relocated bytes of one displaced instruction.
Copy CopyOf(const RelocatedPrologue& moved, size_t landmark) {
  const size_t begin = moved.landmarks[landmark].relocated;
  return {absl::MakeConstSpan(moved.code).subspan(begin), kDestination + begin};
}

// "" or what differs in the operands, targets compared as absolute addresses.
std::string CompareSame(const Instruction& original, uint64_t address, const Copy& copy) {
  Instruction moved;
  if (!DecodeInstruction(copy.code, moved)) return "not decodable";
  const std::string before = original.Text(address);
  const std::string after = moved.Text(copy.address);
  if (before != after) return absl::StrCat(before, " became ", after);
  if (original.length() != moved.length()) return absl::StrCat(before, " changed its length");
  return "";
}

std::string CompareBranch(const Instruction& original, uint64_t address, const Copy& copy) {
  Instruction moved;
  if (!DecodeInstruction(copy.code, moved)) return "not decodable";
  if (moved.info.mnemonic != original.info.mnemonic) return "another condition";
  if (moved.Target(copy.address) != original.Target(address)) return "another target";
  return "";
}

// push [rip + distance]; jmp callee; .quad return address
std::string CompareCall(const Instruction& original, uint64_t address, const Copy& copy) {
  uint32_t distance;
  uint64_t return_address;
  std::memcpy(&distance, copy.code.data() + 2, sizeof(distance));
  const size_t place = kPushReturnBytes + distance;
  if (place + sizeof(return_address) > copy.code.size()) return "no return address";
  std::memcpy(&return_address, copy.code.data() + place, sizeof(return_address));
  if (return_address != address + original.length()) return "another return";
  Instruction jump;
  if (!DecodeInstruction(copy.code.subspan(kPushReturnBytes), jump)) return "not decodable";
  const uint64_t jump_address = copy.address + kPushReturnBytes;
  if (original.flow() == Flow::kCall) {
    return jump.Target(jump_address) == original.Target(address) ? "" : "another callee";
  }
  const std::string before = original.Text(address);
  const std::string after = jump.Text(jump_address);
  if (!absl::StartsWith(before, "call ") || !absl::StartsWith(after, "jmp ")) return after;
  return before.substr(5) == after.substr(4) ? "" : absl::StrCat(before, " became ", after);
}

std::string Compare(const Instruction& original, uint64_t address, const Copy& copy) {
  switch (original.flow()) {
    case Flow::kConditional:
    case Flow::kJump:
      return CompareBranch(original, address, copy);
    case Flow::kCall:
    case Flow::kIndirectCall:
      return CompareCall(original, address, copy);
    case Flow::kCounted:
      return "";  // has a golden test
    default:
      return CompareSame(original, address, copy);
  }
}

std::string CheckJumpBack(const Site& site, const RelocatedPrologue& moved,
                          const Instruction& last) {
  if (last.EndsPrologue()) return "";
  Instruction jump;
  const size_t begin = moved.code.size() - kPatchBytes;
  if (!DecodeInstruction(absl::MakeConstSpan(moved.code).subspan(begin), jump)) return "no jump";
  if (jump.Target(kDestination + begin) != kBias + site.address + site.code_length) {
    return "jumps back to another address";
  }
  return "";
}

// "" or what is wrong with the site.
std::string CheckSite(const Site& site) {
  const auto moved = RelocatePrologue(site, kBias, kDestination);
  if (!moved.ok()) return moved.status().ToString();
  if (moved->code.size() > kMaxRelocatedBytes) return "longer than kMaxRelocatedBytes";
  Instruction original;
  size_t landmark = 0;
  for (uint32_t at = 0; at < site.code_length; at += original.length(), ++landmark) {
    if (landmark >= moved->landmarks.size()) return "a landmark is missing";
    if (moved->landmarks[landmark].original != at) return "a landmark is not at an instruction";
    if (!DecodeInstruction(absl::MakeConstSpan(site.displaced).subspan(at), original)) {
      return "displaced bytes are not instructions";
    }
    const std::string difference =
        Compare(original, kBias + site.address + at, CopyOf(*moved, landmark));
    if (!difference.empty()) return difference;
  }
  return CheckJumpBack(site, *moved, original);
}

class SystemLibraries : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    absl::StatusOr<symbols::Module> module = symbols::ReadModule(GetParam());
    ASSERT_TRUE(module.ok()) << module.status();
    module_ = *std::move(module);
    std::vector<uint32_t> all(module_.functions.size());
    std::iota(all.begin(), all.end(), 0u);
    plan_ = Planner(module_).Plan(all);
  }

  symbols::Module module_;
  PlanResult plan_;
};

TEST_P(SystemLibraries, every_site__then_its_copy_does_the_same) {
  for (const Site& site : plan_.sites) {
    ASSERT_EQ(CheckSite(site), "") << module_.functions[site.function].name;
  }
}

TEST_P(SystemLibraries, eligible_functions__then_98_percent_are_hooked) {
  std::map<std::string, int> counts;
  size_t not_eligible = 0;
  for (const Refusal& refusal : plan_.refusals) {
    ++counts[std::string(ReasonName(refusal.reason))];
    if (RefusedByName(module_.functions[refusal.function])) ++not_eligible;
  }
  const size_t eligible = module_.functions.size() - not_eligible;
  std::cout << module_.path << ": " << plan_.sites.size() << " of " << eligible
            << " eligible functions hooked\n";
  for (const auto& [reason, count] : counts) std::cout << "  " << reason << " " << count << "\n";
  EXPECT_GE(static_cast<double>(plan_.sites.size()), 0.98 * static_cast<double>(eligible));
}

INSTANTIATE_TEST_SUITE_P(Installed, SystemLibraries, testing::ValuesIn(InstalledLibraries()));

}  // namespace
}  // namespace flightrec::patch
