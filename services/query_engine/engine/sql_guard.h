// Which statements a user may send: one that reads. The first of three fences;
// the others are a read-only transaction (user_query.h) and the engine's
// locked configuration without external access (database.h). Pure functions.
#ifndef SERVICES_QUERY_ENGINE_ENGINE_SQL_GUARD_H_
#define SERVICES_QUERY_ENGINE_ENGINE_SQL_GUARD_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "duckdb.h"

namespace flightrec::query_engine {

inline constexpr size_t kMaxStatementBytes = size_t{256} << 10;

// By its first word and the functions it calls. INVALID_ARGUMENT: empty or too
// long. PERMISSION_DENIED names the word or the function. A statement that begins with no keyword is left to the
// engine's parser, which has the better message.
absl::Status CheckStatementText(absl::string_view sql);

// By what the engine made of it. PERMISSION_DENIED.
absl::Status CheckStatementType(duckdb_statement_type type);

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_ENGINE_SQL_GUARD_H_
