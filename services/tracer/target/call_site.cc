#include "services/tracer/target/call_site.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "services/tracer/inject/memory_map.h"
#include "services/tracer/target/process_starts.h"

namespace flightrec::target {
namespace {

// Of one mapping.
constexpr uint64_t kMaxCodeSearch = uint64_t{4} << 20;
const std::vector<uint8_t> kSystemCall = {0x0F, 0x05};
const std::vector<uint8_t> kSystemCallAndReturn = {0x0F, 0x05, 0xC3};
// mov $15, %rax or %eax; syscall
const std::vector<uint8_t> kRestorers[] = {{0x48, 0xC7, 0xC0, 0x0F, 0, 0, 0, 0x0F, 0x05},
                                           {0xB8, 0x0F, 0, 0, 0, 0x0F, 0x05}};

// 0: not there.
uint64_t Find(const std::vector<uint8_t>& code, uint64_t low, const std::vector<uint8_t>& wanted) {
  const auto found = std::search(code.begin(), code.end(), wanted.begin(), wanted.end());
  return found == code.end() ? 0 : low + static_cast<uint64_t>(found - code.begin());
}

bool Stays(const std::string& path, const std::string& program) {
  const std::string name = path.substr(path.rfind('/') + 1);
  return path == "[vdso]" || (!program.empty() && path == program) || IsCLibrary(path) ||
         absl::StartsWith(name, "ld-linux") || absl::StartsWith(name, "ld-2.");
}

}  // namespace

absl::StatusOr<CallSite> FindCallSite(const inject::RemoteProcess& process,
                                      const std::string& program) {
  const absl::StatusOr<inject::MemoryMap> map = inject::MemoryMap::Read(process.pid());
  if (!map.ok()) return map.status();
  uint64_t plain = 0;
  CallSite site;
  for (const inject::Mapping& mapping : map->mappings()) {
    if (!mapping.executable || !Stays(mapping.path, program)) continue;
    std::vector<uint8_t> code(std::min(mapping.high - mapping.low, kMaxCodeSearch));
    if (!process.Read(mapping.low, absl::MakeSpan(code)).ok()) continue;
    if (plain == 0 || mapping.path == "[vdso]") {
      const uint64_t found = Find(code, mapping.low, kSystemCall);
      if (found != 0) plain = found;
    }
    if (site.instruction == 0) site.instruction = Find(code, mapping.low, kSystemCallAndReturn);
    for (const std::vector<uint8_t>& restorer : kRestorers) {
      if (site.restorer == 0) site.restorer = Find(code, mapping.low, restorer);
    }
  }
  if (site.instruction != 0 && site.restorer != 0) return site;
  if (plain != 0) return CallSite{plain, 0};
  return absl::FailedPreconditionError(absl::StrCat(
      "process ", process.pid(), " has no SYSCALL instruction that could be used inside it"));
}

}  // namespace flightrec::target
