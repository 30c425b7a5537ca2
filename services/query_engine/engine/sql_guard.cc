#include "services/query_engine/engine/sql_guard.h"

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace flightrec::query_engine {
namespace {

constexpr absl::string_view kRefused[] = {
    "ALTER", "ANALYZE",  "ATTACH",     "BEGIN",   "CALL",     "CHECKPOINT", "COMMENT", "COMMIT",
    "COPY",  "CREATE",   "DEALLOCATE", "DELETE",  "DETACH",   "DROP",       "EXECUTE", "EXPORT",
    "FORCE", "IMPORT",   "INSERT",     "INSTALL", "LOAD",     "MERGE",      "PRAGMA",  "PREPARE",
    "RESET", "ROLLBACK", "SET",        "START",   "TRUNCATE", "UPDATE",     "USE",     "VACUUM",
};

constexpr absl::string_view kAllowed = "send one SELECT, WITH, EXPLAIN, DESCRIBE or SHOW statement";

// `sql` from its first character that is not white space, a comment or an
// opening parenthesis.
absl::string_view SkipToFirstWord(absl::string_view sql) {
  while (!sql.empty()) {
    if (absl::ascii_isspace(sql[0]) || sql[0] == '(' || sql[0] == ';') {
      sql.remove_prefix(1);
    } else if (absl::ConsumePrefix(&sql, "--")) {
      sql.remove_prefix(std::min(sql.find('\n'), sql.size()));
    } else if (absl::ConsumePrefix(&sql, "/*")) {
      const size_t end = sql.find("*/");
      sql.remove_prefix(end == absl::string_view::npos ? sql.size() : end + 2);
    } else {
      break;
    }
  }
  return sql;
}

absl::string_view FirstWord(absl::string_view sql) {
  sql = SkipToFirstWord(sql);
  size_t length = 0;
  while (length < sql.size() && (absl::ascii_isalnum(sql[length]) || sql[length] == '_')) ++length;
  return sql.substr(0, length);
}

}  // namespace

absl::Status CheckStatementText(absl::string_view sql) {
  if (sql.size() > kMaxStatementBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the statement has ", sql.size(), " bytes, the most is ", kMaxStatementBytes));
  }
  if (SkipToFirstWord(sql).empty()) {
    return absl::InvalidArgumentError(absl::StrCat("the statement is empty; ", kAllowed));
  }
  const std::string word = absl::AsciiStrToUpper(FirstWord(sql));
  if (std::find(std::begin(kRefused), std::end(kRefused), word) != std::end(kRefused)) {
    return absl::PermissionDeniedError(
        absl::StrCat(word, " is not allowed: recordings are only read; ", kAllowed));
  }
  return absl::OkStatus();
}

absl::Status CheckStatementType(duckdb_statement_type type) {
  if (type == DUCKDB_STATEMENT_TYPE_SELECT || type == DUCKDB_STATEMENT_TYPE_EXPLAIN) {
    return absl::OkStatus();
  }
  return absl::PermissionDeniedError(
      absl::StrCat("the statement would do more than read (engine's type ", static_cast<int>(type),
                   "); ", kAllowed));
}

}  // namespace flightrec::query_engine
