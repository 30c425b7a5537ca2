// Files of /proc, or of a folder that looks like it. Every read has a limit.
//
// Thread-safe: holds a path, reads files, stops and changes nothing.
#ifndef SERVICES_TRACER_HOST_PROC_DIRECTORY_H_
#define SERVICES_TRACER_HOST_PROC_DIRECTORY_H_

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace flightrec::host {

// Text beyond this is cut; a program may have a command line or a map of any size.
inline constexpr size_t kMaxProcText = size_t{4} << 20;

// NOT_FOUND: there is no such file, or its process has gone. PERMISSION_DENIED.
absl::StatusOr<std::string> ReadTextFile(const std::string& path, size_t limit = kMaxProcText);

class ProcDirectory {
 public:
  explicit ProcDirectory(std::string root = "/proc") : root_(std::move(root)) {}

  std::string PathOf(pid_t pid, absl::string_view file) const;
  // A file that belongs to no process: "sys/kernel/yama/ptrace_scope".
  std::string PathOf(absl::string_view file) const;

  // Statuses as of ReadTextFile.
  absl::StatusOr<std::string> Read(pid_t pid, absl::string_view file,
                                   size_t limit = kMaxProcText) const;
  // Where a symbolic link such as "exe" or "ns/mnt" leads.
  absl::StatusOr<std::string> ReadLink(pid_t pid, absl::string_view file) const;

  // Processes, without their other threads, sorted.
  absl::StatusOr<std::vector<pid_t>> ListProcesses() const;

 private:
  const std::string root_;
};

}  // namespace flightrec::host

#endif  // SERVICES_TRACER_HOST_PROC_DIRECTORY_H_
