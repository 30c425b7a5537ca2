#include "services/tracer/target/left_memory.h"

#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "services/tracer/inject/memory_map.h"

namespace flightrec::target {
namespace {

// The flags of /proc/PID/smaps, each between two spaces, by address.
std::map<uint64_t, std::string> ReadFlags(pid_t pid) {
  std::map<uint64_t, std::string> flags;
  std::ifstream file(absl::StrCat("/proc/", pid, "/smaps"));
  uint64_t low = 0;
  for (std::string line; std::getline(file, line);) {
    const std::pair<absl::string_view, absl::string_view> range =
        absl::StrSplit(absl::string_view(line).substr(0, line.find(' ')), absl::MaxSplits('-', 1));
    uint64_t first = 0, second = 0;
    if (absl::SimpleHexAtoi(range.first, &first) && absl::SimpleHexAtoi(range.second, &second))
      low = first;
    if (absl::StartsWith(line, "VmFlags:")) flags[low] = absl::StrCat(line, " ");
  }
  return flags;
}

class Ownership {
 public:
  Ownership(const JournalContent& journal, const inject::MemoryMap& map,
            std::map<uint64_t, std::string> flags)
      : journal_(journal),
        map_(map),
        flags_(std::move(flags)),
        lane_name_(
            absl::StrCat("/", journal.process.pid, "-", journal.process.start_ticks, ".lane")) {}

  // Whether all of it is mapped as the tracer has mapped it.
  bool IsLeft(uint64_t address, JournalMemory& memory) const {
    const uint64_t end = address + memory.bytes;
    uint64_t place = address;
    for (const inject::Mapping& mapping : map_.mappings()) {
      if (mapping.high <= place || place >= end) continue;
      if (mapping.low > place) return false;
      if (!IsOurs(mapping)) return false;
      if (!memory.mapped && !IsNew(mapping, address, end)) return false;
      if (memory.kind == MemoryKind::kUnknown)
        memory.kind = mapping.executable && !Contains(address, end, journal_.image)
                          ? MemoryKind::kCode
                          : MemoryKind::kData;
      place = mapping.high;
    }
    return place >= end;
  }

 private:
  static bool Contains(uint64_t low, uint64_t high, uint64_t address) {
    return address - low < high - low;
  }

  bool HasFlag(const inject::Mapping& mapping, absl::string_view flag) const {
    const auto flags = flags_.find(mapping.low);
    return flags != flags_.end() && absl::StrContains(flags->second, flag);
  }

  // Not told that it was mapped: the program may have taken the place before.
  bool IsNew(const inject::Mapping& mapping, uint64_t low, uint64_t high) const {
    // Two of ours beside each other are one mapping.
    if (mapping.executable) return mapping.low <= low && mapping.high >= high;
    return mapping.low == low && mapping.high == high && HasFlag(mapping, " nr ");
  }

  bool IsOurs(const inject::Mapping& mapping) const {
    if (absl::StrContains(mapping.path, lane_name_)) return true;
    if (!mapping.path.empty() || mapping.shared) return false;
    if (mapping.executable) return !mapping.writable;
    if (!mapping.writable) return false;
    // Kept out of core dumps, or wiped on fork.
    return !journal_.leaves || HasFlag(mapping, " dd ") || HasFlag(mapping, " wf ");
  }

  const JournalContent& journal_;
  const inject::MemoryMap& map_;
  const std::map<uint64_t, std::string> flags_;
  const std::string lane_name_;
};

}  // namespace

absl::StatusOr<std::map<uint64_t, JournalMemory>> FindLeftMemory(pid_t pid,
                                                                 const JournalContent& journal) {
  const absl::StatusOr<inject::MemoryMap> map = inject::MemoryMap::Read(pid);
  if (!map.ok()) return map.status();
  const Ownership ownership(journal, *map, ReadFlags(pid));
  std::map<uint64_t, JournalMemory> left;
  for (auto [address, memory] : journal.memory) {
    if (ownership.IsLeft(address, memory)) left[address] = memory;
  }
  return left;
}

}  // namespace flightrec::target
