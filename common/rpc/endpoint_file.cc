#include "common/rpc/endpoint_file.h"

#include <errno.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "common/rpc/file_content.h"

namespace flightrec::rpc {
namespace {

using nlohmann::json;

constexpr int kVersion = 1;
// Addresses are no secret; the control token is, and is only named here.
constexpr mode_t kMode = 0644;

std::string PathIn(const std::string& directory) {
  return absl::StrCat(directory, "/", kEndpointFileName);
}

// Field 22 of /proc/PID/stat, 0 when the process has gone. The command name
// (field 2) may hold spaces, so counting starts behind its ")".
uint64_t StartTicks(int64_t pid) {
  const absl::StatusOr<std::string> stat = ReadFile(absl::StrCat("/proc/", pid, "/stat"));
  if (!stat.ok()) return 0;
  const size_t name_end = stat->rfind(')');
  if (name_end == std::string::npos) return 0;
  const std::vector<std::string> fields =
      absl::StrSplit(stat->substr(name_end + 1), ' ', absl::SkipEmpty());
  constexpr size_t kStartTimeField = 22 - 3;
  uint64_t ticks = 0;
  if (fields.size() <= kStartTimeField || !absl::SimpleAtoi(fields[kStartTimeField], &ticks)) {
    return 0;
  }
  return ticks;
}

json ToJson(const Endpoints& e) {
  return {{"version", kVersion},
          {"pid", e.pid},
          {"pid_start_ticks", e.pid_start_ticks},
          {"started", absl::FormatTime(absl::RFC3339_full, e.started, absl::UTCTimeZone())},
          {"backend", e.backend},
          {"query", e.query},
          {"tracer", e.tracer},
          {"mcp", e.mcp},
          {"control_token_file", e.control_token_file}};
}

absl::StatusOr<Endpoints> Parse(const std::string& text, const std::string& path) {
  const json value = json::parse(text, nullptr, /*allow_exceptions=*/false);
  const auto bad = [&path](absl::string_view why) {
    return absl::DataLossError(
        absl::StrCat(path, " ", why, "; remove it if no flightrec process is running"));
  };
  if (!value.is_object()) return bad("is not a JSON object");
  const auto text_at = [&value](const char* key) {
    const auto found = value.find(key);
    return found != value.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  const auto number_at = [&value](const char* key) {
    const auto found = value.find(key);
    return found != value.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
  };
  if (number_at("version") != kVersion) return bad("has another version");
  Endpoints e{.backend = text_at("backend"),
              .query = text_at("query"),
              .tracer = text_at("tracer"),
              .mcp = text_at("mcp"),
              .control_token_file = text_at("control_token_file"),
              .started = {},
              .pid = static_cast<int64_t>(number_at("pid")),
              .pid_start_ticks = number_at("pid_start_ticks")};
  std::string error;
  if (e.pid == 0 || !absl::ParseTime(absl::RFC3339_full, text_at("started"), &e.started, &error)) {
    return bad("has no pid or start time");
  }
  return e;
}

}  // namespace

absl::Status WriteEndpointFile(const std::string& directory, Endpoints endpoints) {
  endpoints.pid = getpid();
  endpoints.pid_start_ticks = StartTicks(endpoints.pid);
  return ReplaceFile(PathIn(directory), absl::StrCat(ToJson(endpoints).dump(2), "\n"), kMode);
}

absl::StatusOr<Endpoints> ReadEndpointFile(const std::string& directory) {
  const std::string path = PathIn(directory);
  absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  absl::StatusOr<Endpoints> endpoints = Parse(*text, path);
  if (!endpoints.ok()) return endpoints.status();
  if (StartTicks(endpoints->pid) != endpoints->pid_start_ticks) {
    return absl::NotFoundError(
        absl::StrCat(path, " was left by pid ", endpoints->pid, ", which has gone"));
  }
  return endpoints;
}

absl::Status RemoveEndpointFile(const std::string& directory) {
  const std::string path = PathIn(directory);
  absl::StatusOr<std::string> text = ReadFile(path);
  if (absl::IsNotFound(text.status())) return absl::OkStatus();
  if (!text.ok()) return text.status();
  absl::StatusOr<Endpoints> endpoints = Parse(*text, path);
  if (endpoints.ok() && endpoints->pid != getpid()) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " belongs to pid ", endpoints->pid, ", not to this process"));
  }
  if (unlink(path.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot remove ", path));
  }
  return absl::OkStatus();
}

}  // namespace flightrec::rpc
