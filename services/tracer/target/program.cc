#include "services/tracer/target/program.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
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

absl::Status Check(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    return absl::NotFoundError(
        absl::StrCat("program ", path, ": ", strerror(errno), "; check the spelling"));
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat("program ", path, " is not a regular file"));
  }
  if (access(path.c_str(), X_OK) != 0) {
    return absl::PermissionDeniedError(
        absl::StrCat("program ", path, " is not executable; chmod +x it first"));
  }
  return RefuseScript(path);
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
