// What the kernel says about a process in /proc: when it started, where its
// program begins, which threads it has.
//
// Thread-safe: reads files, keeps nothing. NOT_FOUND if the process is gone.
#ifndef SERVICES_TRACER_TARGET_PROC_FILES_H_
#define SERVICES_TRACER_TARGET_PROC_FILES_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace flightrec::target {

// Field 22 of /proc/PID/stat or /proc/PID/task/TID/stat, in clock ticks.
absl::StatusOr<uint64_t> ReadStartTicks(const std::string& stat_path);

// Field 28 of /proc/PID/stat: where the program's first stack began, which is elsewhere after an
// exec. 0: not to be known.
uint64_t ReadStackStart(pid_t pid);

absl::StatusOr<std::string> ReadBootId();

struct EntryPoints {
  uint64_t program = 0;  // AT_ENTRY
  uint64_t loader = 0;   // AT_BASE; 0 for a static program
  uint64_t headers = 0;  // AT_PHDR, program headers in its memory
  uint64_t header_count = 0;
};
absl::StatusOr<EntryPoints> ReadEntryPoints(pid_t pid);

struct ThreadStatus {
  char state = '?';              // as ps(1) shows it
  pid_t tracer = 0;              // 0: none
  uint32_t seccomp_filters = 0;  // 0 on kernels before 5.9 too
};
absl::StatusOr<ThreadStatus> ReadThreadStatus(pid_t pid, pid_t tid);

// Empty if the thread has ended.
std::string ReadThreadName(pid_t pid, uint32_t tid);

// NOT_FOUND: the process has ended.
absl::StatusOr<std::vector<pid_t>> ListThreads(pid_t pid);

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_PROC_FILES_H_
