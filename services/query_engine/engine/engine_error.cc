#include "services/query_engine/engine/engine_error.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace flightrec::query_engine {
namespace {

struct Prefix {
  absl::string_view text;
  duckdb_error_type type;
};

// Only those that do not mean a wrong statement.
constexpr Prefix kPrefixes[] = {
    {"Permission Error", DUCKDB_ERROR_PERMISSION},
    {"TransactionContext Error", DUCKDB_ERROR_TRANSACTION},
    {"Out of Memory Error", DUCKDB_ERROR_OUT_OF_MEMORY},
    {"INTERRUPT Error", DUCKDB_ERROR_INTERRUPT},
    {"IO Error", DUCKDB_ERROR_IO},
    {"INTERNAL Error", DUCKDB_ERROR_INTERNAL},
    {"FATAL Error", DUCKDB_ERROR_FATAL},
};

absl::StatusCode CodeOf(duckdb_error_type type) {
  switch (type) {
    case DUCKDB_ERROR_PERMISSION:
    case DUCKDB_ERROR_TRANSACTION:
    case DUCKDB_ERROR_MISSING_EXTENSION:
    case DUCKDB_ERROR_AUTOLOAD:
      return absl::StatusCode::kPermissionDenied;
    case DUCKDB_ERROR_OUT_OF_MEMORY:
    case DUCKDB_ERROR_OBJECT_SIZE:
      return absl::StatusCode::kResourceExhausted;
    case DUCKDB_ERROR_INTERRUPT:
      return absl::StatusCode::kCancelled;
    case DUCKDB_ERROR_IO:
    case DUCKDB_ERROR_INTERNAL:
    case DUCKDB_ERROR_FATAL:
    case DUCKDB_ERROR_SCHEDULER:
    case DUCKDB_ERROR_EXECUTOR:
    case DUCKDB_ERROR_NULL_POINTER:
      return absl::StatusCode::kInternal;
    default:
      return absl::StatusCode::kInvalidArgument;
  }
}

}  // namespace

absl::Status EngineError(duckdb_error_type type, absl::string_view message) {
  const absl::StatusCode code = CodeOf(type);
  if (code != absl::StatusCode::kResourceExhausted) return absl::Status(code, message);
  // What the engine advises after its first line is not in the caller's hands.
  return absl::Status(code, absl::StrCat(message.substr(0, message.find('\n')),
                                         "; ask for less, or raise --memory_limit_mb"));
}

absl::Status EngineError(absl::string_view message) {
  for (const Prefix& prefix : kPrefixes) {
    if (absl::StartsWith(message, prefix.text)) return EngineError(prefix.type, message);
  }
  return absl::InvalidArgumentError(message);
}

}  // namespace flightrec::query_engine
