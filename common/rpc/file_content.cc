#include "common/rpc/file_content.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

namespace flightrec::rpc {
namespace {

absl::Status Failed(absl::string_view action, const std::string& path) {
  const int error = errno;
  return absl::ErrnoToStatus(error, absl::StrCat("cannot ", action, " ", path));
}

absl::Status WriteAll(int fd, absl::string_view content) {
  while (!content.empty()) {
    const ssize_t n = write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, "write");
    content.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return Failed("open", path);
  absl::Cleanup close_fd = [fd] { close(fd); };
  std::string content;
  char buffer[16 << 10];
  for (;;) {
    const ssize_t n = read(fd, buffer, sizeof(buffer));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Failed("read", path);
    if (n == 0) return content;
    content.append(buffer, static_cast<size_t>(n));
    if (content.size() > kMaxFileBytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat(path, " is larger than ", kMaxFileBytes, " bytes; is it the right file?"));
    }
  }
}

absl::Status ReplaceFile(const std::string& path, absl::string_view content, mode_t mode) {
  std::string temporary = absl::StrCat(path, ".XXXXXX");
  // mkostemp creates with 0600, so a secret is never readable in between.
  const int fd = mkostemp(temporary.data(), O_CLOEXEC);
  if (fd < 0) return Failed("create", temporary);
  absl::Cleanup remove = [&temporary] { unlink(temporary.c_str()); };
  absl::Status written = WriteAll(fd, content);
  if (written.ok() && fchmod(fd, mode) != 0) written = Failed("chmod", temporary);
  if (written.ok() && fsync(fd) != 0) written = Failed("sync", temporary);
  close(fd);
  if (!written.ok()) return written;
  if (rename(temporary.c_str(), path.c_str()) != 0) return Failed("replace", path);
  std::move(remove).Cancel();
  return absl::OkStatus();
}

}  // namespace flightrec::rpc
