#include "services/tracer/recorder/state_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace flightrec::tracer {
namespace {

constexpr char kOwnerFile[] = "owner";
// A line each: the pid, where its recordings go, and what pids mean to it.
constexpr size_t kLines = 3;
constexpr size_t kMaxContent = 8192;
// Its last owner may remove the file just when it is opened.
constexpr int kAttempts = 10;

// The boot and the pid namespace.
std::string ThisHost() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string boot;
  std::getline(file, boot);
  struct stat names = {};
  stat("/proc/self/ns/pid", &names);
  return absl::StrCat(boot, " ", names.st_ino);
}

}  // namespace

absl::Status StateLock::CheckOwned(const std::string& directory) {
  struct stat info;
  if (lstat(directory.c_str(), &info) != 0)
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot use ", directory));
  if (S_ISDIR(info.st_mode) && info.st_uid == geteuid() &&
      (info.st_mode & (S_IWGRP | S_IWOTH)) == 0)
    return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat(directory,
                   " is not a directory of this user that nobody else can write; remove it, or "
                   "name another"));
}

absl::StatusOr<std::unique_ptr<StateLock>> StateLock::Take(const std::string& directory) {
  const absl::Status owned = CheckOwned(directory);
  if (!owned.ok()) return owned;
  const std::string path = absl::StrCat(directory, "/", kOwnerFile);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const int file =
        open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (file < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", path));
    std::unique_ptr<StateLock> lock(new StateLock(path, file));
    const bool locked = flock(file, LOCK_EX | LOCK_NB) == 0;
    std::vector<std::string> lines = absl::StrSplit(lock->ReadAll(), '\n');
    lines.resize(std::max(lines.size(), kLines));
    if (!locked) {
      return absl::UnavailableError(absl::StrCat(directory, " is in use by process ",
                                                 lines[0].empty() ? "?" : lines[0],
                                                 "; stop that one, or name another directory"));
    }
    struct stat opened, present;
    if (fstat(file, &opened) != 0 || stat(path.c_str(), &present) != 0 ||
        opened.st_ino != present.st_ino)
      continue;
    lock->destination_ = lines[1];
    lock->host_ = lines[2];
    return lock;
  }
  return absl::AbortedError(absl::StrCat(path, " is removed again and again"));
}

StateLock::~StateLock() { close(file_); }

std::string StateLock::ReadAll() const {
  char text[kMaxContent];
  const ssize_t count = pread(file_, text, sizeof(text), 0);
  return std::string(text, count < 0 ? 0 : static_cast<size_t>(count));
}

bool StateLock::IsOfThisHost() const { return host_.empty() || host_ == ThisHost(); }

absl::Status StateLock::Own(const std::string& destination) {
  const std::string text = absl::StrCat(getpid(), "\n", destination, "\n", ThisHost(), "\n");
  if (ftruncate(file_, 0) != 0 ||
      pwrite(file_, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path_));
  destination_ = destination;
  return absl::OkStatus();
}

void StateLock::Remove() { unlink(path_.c_str()); }

}  // namespace flightrec::tracer
