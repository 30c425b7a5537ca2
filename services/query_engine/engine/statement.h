// One prepared statement and its rows, read in batches while the engine works.
//
// For one thread, that of its connection. Does not judge what the statement
// does: see sql_guard.h.
#ifndef SERVICES_QUERY_ENGINE_ENGINE_STATEMENT_H_
#define SERVICES_QUERY_ENGINE_ENGINE_STATEMENT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "duckdb.h"
#include "services/query_engine/engine/database.h"
#include "services/query_engine/engine/logical_type.h"
#include "services/query_engine/engine/value.h"

namespace flightrec::query_engine {

struct Column {
  std::string name;
  std::string type;
  bool operator==(const Column&) const = default;
};

class Statement {
 public:
  // INVALID_ARGUMENT when `sql` is not exactly one statement or the engine
  // cannot make sense of it. `connection` outlives the statement.
  static absl::StatusOr<std::unique_ptr<Statement>> Prepare(Connection& connection,
                                                            absl::string_view sql);
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  duckdb_statement_type type() const;

  // `parameters` in the order of $1, $2, ...
  absl::Status Start(absl::Span<const Value> parameters);

  // After Start.
  const std::vector<Column>& columns() const { return columns_; }

  // The next rows; empty after the last.
  absl::StatusOr<std::vector<Row>> Next();

 private:
  explicit Statement(duckdb_prepared_statement prepared) : prepared_(prepared) {}
  absl::Status Bind(idx_t index, const Value& value);
  void DescribeColumns();

  duckdb_prepared_statement prepared_;
  bool started_ = false;
  duckdb_result result_;
  std::vector<Column> columns_;
  std::vector<LogicalType> types_;
};

// For answers known to be small.
absl::StatusOr<std::vector<Row>> FetchAll(Connection& connection, absl::string_view sql,
                                          absl::Span<const Value> parameters = {});

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_ENGINE_STATEMENT_H_
