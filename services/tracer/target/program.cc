#include "services/tracer/target/program.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <fstream>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace flightrec::target {
namespace {

constexpr absl::string_view kDefaultPath = "/usr/local/bin:/usr/bin:/bin";
constexpr size_t kMaxScriptLine = 256;  // the kernel reads no more

absl::string_view SearchPath(const std::vector<std::string>& env) {
  for (absl::string_view variable : env) {
    if (absl::ConsumePrefix(&variable, "PATH=")) return variable;
  }
  return kDefaultPath;
}

std::string In(absl::string_view cwd, absl::string_view path) {
  if (cwd.empty() || absl::StartsWith(path, "/")) return std::string(path);
  return absl::StrCat(cwd, "/", path);
}

bool IsExecutableFile(const std::string& path) {
  struct stat info;
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && access(path.c_str(), X_OK) == 0;
}

// OK if the file is no script.
absl::Status RefuseScript(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string line(kMaxScriptLine, '\0');
  file.read(&line[0], static_cast<std::streamsize>(line.size()));
  line.resize(static_cast<size_t>(file.gcount()));
  if (!absl::StartsWith(line, "#!")) return absl::OkStatus();
  const std::vector<std::string> lines = absl::StrSplit(line.substr(2), '\n');
  return absl::InvalidArgumentError(
      absl::StrCat(path, " is a script; trace its interpreter: flightrec run -- ",
                   absl::StripAsciiWhitespace(lines[0]), " ", path));
}

bool MayTraceAnybody() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
  return syscall(SYS_capget, &header, sets) == 0 &&
         (sets[CAP_TO_INDEX(CAP_SYS_PTRACE)].effective & CAP_TO_MASK(CAP_SYS_PTRACE)) != 0;
}

// What the file gives to who runs it; empty: nothing.
std::string RightsOfFile(const std::string& path, const struct stat& info) {
  struct statvfs mount;
  if (statvfs(path.c_str(), &mount) == 0 && (mount.f_flag & ST_NOSUID) != 0) return "";
  if ((info.st_mode & S_ISUID) != 0 && info.st_uid != geteuid())
    return absl::StrCat("the rights of user ", info.st_uid, " (set-user-ID)");
  if ((info.st_mode & S_ISGID) != 0 && (info.st_mode & S_IXGRP) != 0 && info.st_gid != getegid())
    return absl::StrCat("the rights of group ", info.st_gid, " (set-group-ID)");
  if (getxattr(path.c_str(), "security.capability", nullptr, 0) > 0) return "capabilities (setcap)";
  return "";
}

// The kernel runs such a program without its rights, and says nothing, when who traces it is not
// capable of tracing any process.
absl::Status RefuseLossOfRights(const std::string& path, const struct stat& info) {
  const std::string rights = RightsOfFile(path, info);
  if (rights.empty() || MayTraceAnybody()) return absl::OkStatus();
  return absl::PermissionDeniedError(
      absl::StrCat("program ", path, " has ", rights,
                   ", which it would lose when it is traced without CAP_SYS_PTRACE; run the tracer "
                   "as root, or give it the capability (setcap cap_sys_ptrace+ep)"));
}

absl::Status Check(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    return absl::NotFoundError(
        absl::StrCat("program ", path, ": ", strerror(errno), "; check the spelling"));
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat("program ", path, " is not a regular file"));
  }
  struct statvfs mount;
  if (statvfs(path.c_str(), &mount) == 0 && (mount.f_flag & ST_NOEXEC) != 0) {
    return absl::PermissionDeniedError(absl::StrCat(
        "program ", path,
        " is on a file system that is mounted noexec; copy it to another one, or mount "
        "-o remount,exec"));
  }
  if (access(path.c_str(), X_OK) != 0) {
    return absl::PermissionDeniedError(
        absl::StrCat("program ", path, " is not executable; chmod +x it first"));
  }
  if (absl::Status script = RefuseScript(path); !script.ok()) return script;
  return RefuseLossOfRights(path, info);
}

}  // namespace

absl::StatusOr<std::string> ResolveProgram(absl::string_view name, absl::string_view cwd,
                                           const std::vector<std::string>& env) {
  if (name.empty()) {
    return absl::InvalidArgumentError("no program was named; put it behind --");
  }
  std::string path;
  if (absl::StrContains(name, "/")) {
    path = In(cwd, name);
  } else {
    const absl::string_view search = SearchPath(env);
    for (absl::string_view folder : absl::StrSplit(search, ':')) {
      const std::string candidate = In(cwd, absl::StrCat(folder.empty() ? "." : folder, "/", name));
      if (!IsExecutableFile(candidate)) continue;
      path = candidate;
      break;
    }
    if (path.empty()) {
      return absl::NotFoundError(absl::StrCat("program ", name, " is not in PATH=", search,
                                              "; give its path, for example ./", name));
    }
  }
  const absl::Status status = Check(path);
  if (!status.ok()) return status;
  return path;
}

std::vector<std::string> OwnEnvironment() {
  std::vector<std::string> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    environment.emplace_back(*variable);
  }
  return environment;
}

}  // namespace flightrec::target
