#include "services/tracer/target/text_protection.h"

#include <linux/magic.h>
#include <sys/vfs.h>

#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace flightrec::target {
namespace {

// What the kernel calls mmap's MAP_HUGETLB without a file.
constexpr absl::string_view kAnonymousHugePages = "/anon_hugepage";

std::string Range(const inject::Mapping& mapping) {
  return absl::StrCat(absl::Hex(mapping.low), "-", absl::Hex(mapping.high));
}

bool IsHuge(pid_t pid, const inject::Mapping& mapping) {
  if (absl::StartsWith(mapping.path, kAnonymousHugePages)) return true;
  if (!absl::StartsWith(mapping.path, "/")) return false;
  struct statfs info;
  const std::string link = absl::StrCat("/proc/", pid, "/map_files/", Range(mapping));
  return statfs(link.c_str(), &info) == 0 && info.f_type == HUGETLBFS_MAGIC;
}

absl::Status CheckMapping(pid_t pid, const inject::Mapping& mapping) {
  const auto refuse = [&](absl::string_view why, absl::string_view remedy) {
    return absl::FailedPreconditionError(
        absl::StrCat("code of process ", pid, " at ", Range(mapping), " (", mapping.path, ") ", why,
                     "; ", remedy, ", or choose functions elsewhere with -f"));
  };
  if (mapping.shared) {
    return refuse("is a shared mapping: a change would be one of the file, for everybody",
                  "have the program map it with MAP_PRIVATE");
  }
  if (IsHuge(pid, mapping)) {
    return refuse("is in huge pages (hugetlbfs), which the kernel lets no tracer write to",
                  "start the program without them (libhugetlbfs: HUGETLB_ELFMAP=no)");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckChangeable(pid_t pid, const inject::MemoryMap& map,
                             std::vector<uint64_t> addresses) {
  std::sort(addresses.begin(), addresses.end());
  for (const inject::Mapping& mapping : map.mappings()) {
    const auto first = std::lower_bound(addresses.begin(), addresses.end(), mapping.low);
    if (first == addresses.end() || *first >= mapping.high) continue;
    absl::Status changeable = CheckMapping(pid, mapping);
    if (!changeable.ok()) return changeable;
  }
  return absl::OkStatus();
}

}  // namespace flightrec::target
