#include "common/log/logger.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"

namespace flightrec::log {
namespace {

constexpr absl::string_view kTimeFormat = "%Y-%m-%dT%H:%M:%E3SZ";

absl::string_view LevelName(Level level) {
  switch (level) {
    case Level::kDebug:
      return "debug";
    case Level::kInfo:
      return "info";
    case Level::kWarning:
      return "warning";
    case Level::kError:
      return "error";
  }
  return "unknown";
}

bool NeedsQuotes(absl::string_view value) {
  return value.empty() || std::any_of(value.begin(), value.end(), [](char c) {
           return c == ' ' || c == '"' || c == '=' || c == '\\' ||
                  !absl::ascii_isprint(static_cast<unsigned char>(c));
         });
}

std::string Quote(absl::string_view value) {
  std::string quoted = "\"";
  for (char c : value) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (c == '\n') {
      quoted += "\\n";
    } else if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      absl::StrAppend(&quoted, "\\x", absl::Hex(static_cast<unsigned char>(c), absl::kZeroPad2));
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

void Append(std::string& line, absl::string_view key, absl::string_view value) {
  if (!line.empty()) line += ' ';
  if (NeedsQuotes(value)) {
    absl::StrAppend(&line, key, "=", Quote(value));
  } else {
    absl::StrAppend(&line, key, "=", value);
  }
}

}  // namespace

absl::StatusOr<Level> ParseLevel(absl::string_view text) {
  for (Level level : {Level::kDebug, Level::kInfo, Level::kWarning, Level::kError}) {
    if (LevelName(level) == text) return level;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("unknown log level '", text, "'; use debug, info, warning or error"));
}

Logger::Logger(absl::string_view service, Level minimum, int fd, std::function<absl::Time()> now)
    : service_(service), minimum_(minimum), fd_(fd), now_(std::move(now)) {}

void Logger::Log(Level level, absl::string_view event, std::initializer_list<Field> fields) {
  if (level < minimum_) return;
  std::string line;
  Append(line, "time", absl::FormatTime(kTimeFormat, now_(), absl::UTCTimeZone()));
  Append(line, "level", LevelName(level));
  Append(line, "service", service_);
  Append(line, "event", event);
  for (const Field& field : fields) Append(line, field.key, field.value);
  if (line.size() >= kMaxLineBytes) line.resize(kMaxLineBytes - 1);
  line += '\n';
  // A log that cannot be written has nowhere to say so.
  while (write(fd_, line.data(), line.size()) < 0 && errno == EINTR) {
  }
}

}  // namespace flightrec::log
