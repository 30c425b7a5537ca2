#include "common/rpc/control_token.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/rpc/file_content.h"
#include "common/rpc/token_file.h"

namespace flightrec::rpc {
namespace {

constexpr mode_t kOwnerOnly = 0600;

}  // namespace

absl::StatusOr<std::string> CreateControlToken(const std::string& path) {
  std::string bytes(kControlTokenChars / 2, '\0');
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return absl::ErrnoToStatus(errno, "getrandom");
  }
  std::string token = absl::BytesToHexString(bytes);
  if (absl::Status s = ReplaceFile(path, absl::StrCat(token, "\n"), kOwnerOnly); !s.ok()) {
    return s;
  }
  return token;
}

absl::StatusOr<std::string> ReadControlToken(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot read control token ", path));
  }
  const bool foreign = info.st_uid != geteuid() && geteuid() != 0;
  if (foreign || (info.st_mode & 077) != 0) {
    return absl::PermissionDeniedError(absl::StrCat(
        "control token ", path, " belongs to uid ", info.st_uid, " with mode ",
        absl::StrFormat("%o", info.st_mode & 0777), "; it must be yours alone: chmod 600 ", path));
  }
  absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  absl::StripAsciiWhitespace(&*text);
  if (text->size() < kMinTokenChars) {
    return absl::DataLossError(absl::StrCat("control token ", path, " has ", text->size(),
                                            " characters; restart the tracer to make a new one"));
  }
  return text;
}

bool TokensEqual(absl::string_view a, absl::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace flightrec::rpc
