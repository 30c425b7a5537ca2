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

// They change the engine, follow pointers, or run a text that this statement
// does not show; neither a read-only transaction nor lock_configuration stops
// them.
constexpr absl::string_view kRefusedFunctions[] = {
    "arrow_scan",        "arrow_scan_dumb",      "checkpoint",     "disable_logging",
    "disable_profiling", "disable_peg_parser",   "enable_logging", "enable_peg_parser",
    "enable_profiling",  "force_checkpoint",     "query",          "json_execute_serialized_sql",
    "seq_scan",          "truncate_duckdb_logs", "write_log",
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

// `sql` in lower case, its string literals blanked. Where comments, escapes or
// dollar quotes could hide the end of a literal nothing is blanked: too much is
// looked at, never too little.
std::string CodeOf(absl::string_view sql) {
  std::string code = absl::AsciiStrToLower(sql);
  for (absl::string_view mark : {"--", "/*", "\\", "$"}) {
    if (absl::StrContains(code, mark)) return code;
  }
  bool in_literal = false;
  bool in_name = false;
  for (char& c : code) {
    if (c == '\'' && !in_name) {
      in_literal = !in_literal;
    } else if (c == '"' && !in_literal) {
      in_name = !in_name;
    } else if (in_literal) {
      c = ' ';
    }
  }
  return code;
}

bool IsWordByte(char c) { return absl::ascii_isalnum(c) || c == '_'; }

// Between a function's name and its parenthesis the engine skips white space
// (that of Unicode too) and comments.
bool BeginsCall(absl::string_view rest) {
  while (!rest.empty() && (absl::ascii_isspace(rest[0]) || rest[0] == '"' ||
                           !absl::ascii_isascii(static_cast<unsigned char>(rest[0])))) {
    rest.remove_prefix(1);
  }
  return absl::StartsWith(rest, "(") || absl::StartsWith(rest, "--") ||
         absl::StartsWith(rest, "/*");
}

bool Calls(absl::string_view code, absl::string_view function) {
  for (size_t at = code.find(function); at != absl::string_view::npos;
       at = code.find(function, at + 1)) {
    const absl::string_view rest = code.substr(at + function.size());
    if ((at == 0 || !IsWordByte(code[at - 1])) && BeginsCall(rest)) return true;
  }
  return false;
}

absl::Status CheckFunctions(absl::string_view sql) {
  const std::string code = CodeOf(sql);
  for (absl::string_view function : kRefusedFunctions) {
    if (!Calls(code, function)) continue;
    return absl::PermissionDeniedError(absl::StrCat(
        "the function ", function, " is not allowed: recordings are only read; leave it out"));
  }
  return absl::OkStatus();
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
  return CheckFunctions(sql);
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
