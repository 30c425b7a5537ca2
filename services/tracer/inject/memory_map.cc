#include "services/tracer/inject/memory_map.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace flightrec::inject {
namespace {

constexpr uint64_t kPage = 4096;
// A near jump reaches 2 GiB; displaced operands may point a little beyond the
// module.
constexpr uint64_t kReach = (uint64_t{1} << 31) - (uint64_t{64} << 20);
constexpr uint64_t kLowestAddress = 0x10000;  // vm.mmap_min_addr
// Left free behind a module for the heap when there is no room before it.
constexpr uint64_t kHeapRoom = uint64_t{1} << 30;

// Below the first stack, more than the kernel ever leaves it.
constexpr uint64_t kStackRoom = uint64_t{16} << 30;

uint64_t RoundUp(uint64_t value) { return (value + kPage - 1) & ~(kPage - 1); }

bool ParseHex(absl::string_view text, uint64_t& value) { return absl::SimpleHexAtoi(text, &value); }

}  // namespace

absl::StatusOr<MemoryMap> MemoryMap::Read(pid_t pid) {
  const std::string path = absl::StrCat("/proc/", pid, "/maps");
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) {
    return absl::NotFoundError(absl::StrCat("cannot read ", path, ": the process has ended"));
  }
  return Parse(text.str());
}

absl::StatusOr<MemoryMap> MemoryMap::Parse(absl::string_view text) {
  MemoryMap map;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipWhitespace())) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, absl::MaxSplits(' ', 5));
    const std::pair<absl::string_view, absl::string_view> range =
        absl::StrSplit(fields[0], absl::MaxSplits('-', 1));
    Mapping mapping;
    if (fields.size() < 5 || fields[1].size() < 4 || !ParseHex(range.first, mapping.low) ||
        !ParseHex(range.second, mapping.high) || !ParseHex(fields[2], mapping.file_offset)) {
      return absl::InvalidArgumentError(absl::StrCat("not a line of a memory map: ", line));
    }
    mapping.readable = fields[1][0] == 'r';
    mapping.writable = fields[1][1] == 'w';
    mapping.executable = fields[1][2] == 'x';
    mapping.shared = fields[1][3] == 's';
    if (fields.size() > 5) {
      mapping.path = std::string(absl::StripAsciiWhitespace(fields[5]));
    }
    map.mappings_.push_back(std::move(mapping));
  }
  return map;
}

absl::StatusOr<uint64_t> MemoryMap::FindGapNear(uint64_t low, uint64_t high, uint64_t bytes) const {
  const uint64_t need = RoundUp(bytes);
  const uint64_t lowest = high > kReach + kLowestAddress ? RoundUp(high - kReach) : kLowestAddress;
  const uint64_t highest = low + kReach;
  uint64_t below = 0;
  uint64_t above = 0;
  uint64_t gap_low = kLowestAddress;
  const auto consider = [&](uint64_t gap_high) {
    const uint64_t from = gap_low > lowest ? gap_low : lowest;
    const uint64_t to = gap_high < low ? gap_high : low;
    if (from < to && to - from >= need) below = to - need;
    uint64_t start = gap_low;
    if (start < RoundUp(high) + kHeapRoom) start = RoundUp(high) + kHeapRoom;
    const uint64_t end = gap_high < highest ? gap_high : highest;
    if (above == 0 && start < end && end - start >= need) above = start;
  };
  for (const Mapping& mapping : mappings_) {
    if (mapping.low > gap_low) consider(mapping.low);
    if (mapping.high > gap_low) gap_low = mapping.high;
  }
  if (gap_low < highest) consider(highest);
  if (below != 0) return below;
  if (above != 0) return above;
  return absl::FailedPreconditionError(absl::StrCat(
      "no free ", need, " bytes within 2 GiB of the code at ", absl::Hex(low), "-", absl::Hex(high),
      ", and a jump reaches no farther; hook fewer functions (-f), or start the "
      "program with less memory reserved around its code"));
}

absl::StatusOr<uint64_t> MemoryMap::FindGap(uint64_t bytes) const {
  const uint64_t need = RoundUp(bytes);
  uint64_t found = 0;
  uint64_t gap_low = kLowestAddress;
  for (const Mapping& mapping : mappings_) {
    // What is below it is the kernel's.
    if (mapping.path == "[vsyscall]") break;
    const uint64_t room = mapping.path == "[stack]" ? kStackRoom : 0;
    if (mapping.low > gap_low + room && mapping.low - room - gap_low >= need)
      found = mapping.low - room - need;
    // Nothing above the stack.
    if (room != 0) break;
    gap_low = std::max(gap_low, mapping.high);
  }
  if (found != 0) return found;
  return absl::FailedPreconditionError(
      absl::StrCat("no free ", need, " bytes in the address space; hook a process with less"));
}

}  // namespace flightrec::inject
