#include "services/tracer/target/exit_status.h"

#include <sys/ioctl.h>

#include <array>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace flightrec::target {
namespace {

constexpr size_t kStateField = 0;    // field 3 of /proc/PID/stat, counted behind the name
constexpr size_t kStatusField = 49;  // field 52

// struct pidfd_info of Linux 6.13, with the last field of 6.15.
struct PidfdInfo {
  uint64_t mask = 0;
  uint64_t cgroup = 0;
  std::array<uint32_t, 11> ids = {};
  int32_t exit_status = 0;
};
static_assert(sizeof(PidfdInfo) == 64);
constexpr uint64_t kExitInfo = 1u << 3;  // PIDFD_INFO_EXIT
constexpr unsigned long kGetInfo = _IOWR(0xFF, 11, PidfdInfo);

// Of a process that nobody has reaped.
absl::optional<int> ReadZombie(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string text;
  std::getline(file, text);
  // The name in parentheses may contain anything, parentheses too.
  const size_t end = text.rfind(") ");
  if (end == std::string::npos) return absl::nullopt;
  const std::vector<std::string> fields = absl::StrSplit(text.substr(end + 2), ' ');
  int status = 0;
  if (fields.size() <= kStatusField || fields[kStateField] != "Z" ||
      !absl::SimpleAtoi(fields[kStatusField], &status))
    return absl::nullopt;
  return status;
}

}  // namespace

absl::optional<int> ReadExitStatus(pid_t pid, int pidfd) {
  // First: it may be reaped in between, never the other way round.
  const absl::optional<int> zombie = ReadZombie(pid);
  if (pidfd < 0) return zombie;
  PidfdInfo info;
  info.mask = kExitInfo;
  // A later process with this pid may have been seen.
  if (ioctl(pidfd, kGetInfo, &info) == 0 && (info.mask & kExitInfo) != 0) return info.exit_status;
  return zombie;
}

}  // namespace flightrec::target
