#include "services/tracer/host/proc_directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace flightrec::host {
namespace {

constexpr size_t kChunk = 16384;

absl::Status Refused(const std::string& path, int error) {
  const std::string message = absl::StrCat("cannot read ", path, ": ", std::strerror(error));
  if (error == ENOENT || error == ESRCH || error == ENOTDIR) return absl::NotFoundError(message);
  if (error == EACCES || error == EPERM) return absl::PermissionDeniedError(message);
  return absl::ErrnoToStatus(error, absl::StrCat("cannot read ", path));
}

}  // namespace

absl::StatusOr<std::string> ReadTextFile(const std::string& path, size_t limit) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return Refused(path, errno);
  absl::Cleanup close_file = [file] { close(file); };
  std::string text;
  while (text.size() < limit) {
    const size_t before = text.size();
    text.resize(before + std::min(kChunk, limit - before));
    const ssize_t got = read(file, &text[before], text.size() - before);
    const int error = errno;
    text.resize(before + static_cast<size_t>(std::max<ssize_t>(got, 0)));
    if (got < 0 && error == EINTR) continue;
    if (got < 0) return Refused(path, error);
    if (got == 0) break;
  }
  return text;
}

std::string ProcDirectory::PathOf(pid_t pid, absl::string_view file) const {
  return absl::StrCat(root_, "/", pid, "/", file);
}

std::string ProcDirectory::PathOf(absl::string_view file) const {
  return absl::StrCat(root_, "/", file);
}

absl::StatusOr<std::string> ProcDirectory::Read(pid_t pid, absl::string_view file,
                                                size_t limit) const {
  return ReadTextFile(PathOf(pid, file), limit);
}

absl::StatusOr<std::string> ProcDirectory::ReadLink(pid_t pid, absl::string_view file) const {
  const std::string path = PathOf(pid, file);
  std::string target(PATH_MAX, '\0');
  const ssize_t got = readlink(path.c_str(), &target[0], target.size());
  if (got < 0) return Refused(path, errno);
  target.resize(static_cast<size_t>(got));
  return target;
}

absl::StatusOr<std::vector<pid_t>> ProcDirectory::ListProcesses() const {
  DIR* folder = opendir(root_.c_str());
  if (folder == nullptr) return absl::ErrnoToStatus(errno, absl::StrCat("cannot list ", root_));
  absl::Cleanup close_folder = [folder] { closedir(folder); };
  std::vector<pid_t> pids;
  while (const dirent* entry = readdir(folder)) {
    pid_t pid = 0;
    if (absl::SimpleAtoi(entry->d_name, &pid) && pid > 0) pids.push_back(pid);
  }
  std::sort(pids.begin(), pids.end());
  return pids;
}

}  // namespace flightrec::host
