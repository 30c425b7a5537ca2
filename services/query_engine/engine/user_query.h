// Runs a statement that a user wrote, inside the sandbox and its limits.
//
// Any number of calls at once on one database. Does not know recordings.
#ifndef SERVICES_QUERY_ENGINE_ENGINE_USER_QUERY_H_
#define SERVICES_QUERY_ENGINE_ENGINE_USER_QUERY_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "services/query_engine/engine/database.h"
#include "services/query_engine/engine/query_watch.h"
#include "services/query_engine/engine/statement.h"

namespace flightrec::query_engine {

struct UserQueryLimits {
  int64_t max_rows = 0;
  absl::Duration timeout;
  // From any thread: whether the caller has gone.
  std::function<bool()> cancelled;
};

// Takes an answer as it comes; an error ends the query.
class RowSink {
 public:
  virtual ~RowSink() = default;
  virtual absl::Status TakeColumns(const std::vector<Column>& columns) = 0;
  virtual absl::Status TakeRows(std::vector<Row> rows) = 0;
};

struct UserQueryTotals {
  int64_t rows = 0;
  // There were more than max_rows.
  bool truncated = false;
};

// INVALID_ARGUMENT with the engine's message, line and caret; PERMISSION_DENIED
// for what the sandbox refuses; DEADLINE_EXCEEDED, CANCELLED,
// RESOURCE_EXHAUSTED for the limits.
absl::StatusOr<UserQueryTotals> RunUserQuery(Database& database, QueryWatch& watch,
                                             absl::string_view sql, const UserQueryLimits& limits,
                                             RowSink& sink);

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_ENGINE_USER_QUERY_H_
