#include "services/query_engine/engine/user_query.h"

#include <memory>
#include <string>
#include <utility>

#include "services/query_engine/engine/sql_guard.h"

namespace flightrec::query_engine {
namespace {

absl::StatusOr<UserQueryTotals> Stream(Statement& statement, int64_t max_rows, RowSink& sink) {
  UserQueryTotals totals;
  while (true) {
    absl::StatusOr<std::vector<Row>> rows = statement.Next();
    if (!rows.ok()) return rows.status();
    if (rows->empty()) return totals;
    const int64_t room = max_rows - totals.rows;
    if (static_cast<int64_t>(rows->size()) > room) {
      rows->resize(static_cast<size_t>(room));
      totals.truncated = true;
    }
    totals.rows += static_cast<int64_t>(rows->size());
    if (!rows->empty()) {
      if (absl::Status status = sink.TakeRows(*std::move(rows)); !status.ok()) return status;
    }
    if (totals.truncated) return totals;
  }
}

absl::StatusOr<UserQueryTotals> Run(Connection& connection, absl::string_view sql, int64_t max_rows,
                                    RowSink& sink) {
  // EXPLAIN ANALYZE executes what it explains, so reading must be enforced
  // where it happens. The transaction ends with the connection.
  if (absl::Status status = connection.Execute("BEGIN TRANSACTION READ ONLY"); !status.ok()) {
    return status;
  }
  absl::StatusOr<std::unique_ptr<Statement>> statement = Statement::Prepare(connection, sql);
  if (!statement.ok()) return statement.status();
  if (absl::Status status = CheckStatementType((*statement)->type()); !status.ok()) return status;
  if (absl::Status status = (*statement)->Start({}); !status.ok()) return status;
  if (absl::Status status = sink.TakeColumns((*statement)->columns()); !status.ok()) return status;
  return Stream(**statement, max_rows, sink);
}

}  // namespace

absl::StatusOr<UserQueryTotals> RunUserQuery(Database& database, QueryWatch& watch,
                                             absl::string_view sql, const UserQueryLimits& limits,
                                             RowSink& sink) {
  if (absl::Status status = CheckStatementText(sql); !status.ok()) return status;
  absl::StatusOr<std::unique_ptr<Connection>> connection = database.Connect();
  if (!connection.ok()) return connection.status();
  const QueryWatch::Guard guard(watch, **connection, limits.timeout, limits.cancelled);
  absl::StatusOr<UserQueryTotals> totals = Run(**connection, sql, limits.max_rows, sink);
  if (!totals.ok() && !guard.reason().ok()) return guard.reason();
  return totals;
}

}  // namespace flightrec::query_engine
