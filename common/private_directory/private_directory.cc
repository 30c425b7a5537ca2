#include "common/private_directory/private_directory.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace flightrec {
namespace {

absl::Status Unusable(const std::string& path, absl::string_view flag, absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat(flag, "=", path, " cannot be used: ", why, "; name another directory"));
}

bool IsEmpty(const std::string& path) {
  std::error_code error;
  const std::filesystem::directory_iterator entries(path, error);
  return !error && entries == std::filesystem::directory_iterator();
}

}  // namespace

absl::Status MakePrivateDirectory(const std::string& path, absl::string_view flag,
                                  absl::string_view own_file) {
  std::error_code error;
  const bool is_new = std::filesystem::create_directories(path, error);
  if (error) return Unusable(path, flag, error.message());
  struct stat found;
  if (stat(path.c_str(), &found) != 0) return Unusable(path, flag, strerror(errno));
  if (!S_ISDIR(found.st_mode)) return Unusable(path, flag, "it is not a directory");
  if (found.st_uid != geteuid()) {
    return Unusable(path, flag,
                    absl::StrCat("it belongs to user ", found.st_uid, ", not to ", geteuid()));
  }
  if ((found.st_mode & (S_IRWXG | S_IRWXO)) == 0) return absl::OkStatus();
  const bool is_ours =
      !own_file.empty() && std::filesystem::exists(absl::StrCat(path, "/", own_file), error);
  if (!is_new && !is_ours && !IsEmpty(path)) {
    return absl::InvalidArgumentError(absl::StrCat(
        flag, "=", path, " is a directory of other files; name one of its own, such as ", path,
        "/flightrec"));
  }
  if (chmod(path.c_str(), S_IRWXU) != 0) return Unusable(path, flag, strerror(errno));
  return absl::OkStatus();
}

}  // namespace flightrec
