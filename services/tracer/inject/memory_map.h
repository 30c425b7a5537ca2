// What is mapped where in a process, and where there is room for more.
//
// Plain data once read; thread-safe then. The process must not run between
// reading the map and using a gap found in it.
#ifndef SERVICES_TRACER_INJECT_MEMORY_MAP_H_
#define SERVICES_TRACER_INJECT_MEMORY_MAP_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace flightrec::inject {

struct Mapping {
  uint64_t low = 0;
  uint64_t high = 0;
  uint64_t file_offset = 0;
  bool readable = false;
  bool writable = false;
  bool executable = false;
  bool shared = false;  // what is written is seen by others
  std::string path;     // "[stack]", a file or empty
};

class MemoryMap {
 public:
  static absl::StatusOr<MemoryMap> Read(pid_t pid);
  // The text of /proc/PID/maps. INVALID_ARGUMENT with the line.
  static absl::StatusOr<MemoryMap> Parse(absl::string_view text);

  const std::vector<Mapping>& mappings() const { return mappings_; }

  // A free range of `bytes` that near jumps reach from all of [low, high) and
  // back. FAILED_PRECONDITION if there is none. Prefers addresses below, which
  // leaves the heap of a program room to grow.
  absl::StatusOr<uint64_t> FindGapNear(uint64_t low, uint64_t high, uint64_t bytes) const;
  // One anywhere, but not where the first stack grows. The kernel itself would take such a one.
  absl::StatusOr<uint64_t> FindGap(uint64_t bytes) const;

 private:
  std::vector<Mapping> mappings_;  // sorted by address
};

}  // namespace flightrec::inject

#endif  // SERVICES_TRACER_INJECT_MEMORY_MAP_H_
