// Structured log: one logfmt line an event on a file descriptor:
//
//   time=2026-01-02T03:04:05.678Z level=info service=backend event=listening
//   address=127.0.0.1:7072
//
// (one line; wrapped here). Thread-safe; a line is one write(2). Lines longer
// than kMaxLineBytes are cut. Does not buffer, rotate or ship.
#ifndef FLIGHTREC_COMMON_LOG_LOGGER_H_
#define FLIGHTREC_COMMON_LOG_LOGGER_H_

#include <functional>
#include <initializer_list>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace flightrec::log {

enum class Level { kDebug, kInfo, kWarning, kError };

absl::StatusOr<Level> ParseLevel(absl::string_view text);

// A line fits in one atomic write to a pipe.
inline constexpr size_t kMaxLineBytes = 4096;

struct Field {
  template <typename T>
  Field(absl::string_view k, const T& v) : key(k), value(absl::StrCat(v)) {}
  Field(absl::string_view k, bool v) : key(k), value(v ? "true" : "false") {}
  Field(absl::string_view k, const absl::Status& v)
      : key(k), value(v.ToString(absl::StatusToStringMode::kWithNoExtraData)) {}
  Field(absl::string_view k, absl::Duration v) : key(k), value(absl::FormatDuration(v)) {}

  absl::string_view key;
  std::string value;
};

class Logger {
 public:
  // `fd` is not owned. `now` is called from any thread.
  Logger(absl::string_view service, Level minimum, int fd = 2,
         std::function<absl::Time()> now = absl::Now);

  void Log(Level level, absl::string_view event, std::initializer_list<Field> fields = {});
  void Debug(absl::string_view event, std::initializer_list<Field> f = {}) {
    Log(Level::kDebug, event, f);
  }
  void Info(absl::string_view event, std::initializer_list<Field> f = {}) {
    Log(Level::kInfo, event, f);
  }
  void Warning(absl::string_view event, std::initializer_list<Field> f = {}) {
    Log(Level::kWarning, event, f);
  }
  void Error(absl::string_view event, std::initializer_list<Field> f = {}) {
    Log(Level::kError, event, f);
  }

 private:
  const std::string service_;
  const Level minimum_;
  const int fd_;
  const std::function<absl::Time()> now_;
};

}  // namespace flightrec::log

#endif  // FLIGHTREC_COMMON_LOG_LOGGER_H_
