#include "services/query_engine/views/overview_view.h"

#include <memory>
#include <vector>

#include "services/query_engine/engine/statement.h"

namespace flightrec::query_engine {
namespace {

constexpr char kOverview[] = R"(
SELECT r.threads,
  (SELECT count(*)::UBIGINT FROM rollup.functions WHERE calls > 0) AS functions_called,
  (SELECT count(*)::UBIGINT FROM rollup.paths) AS paths,
  (r.calls + l.calls)::UBIGINT AS calls, r.span_ns
FROM rollup.recording r, (SELECT coalesce(sum(calls), 0) AS calls FROM lost_calls) l
)";

}  // namespace

absl::StatusOr<OverviewNumbers> CountOverview(Database& database) {
  absl::StatusOr<std::unique_ptr<Connection>> connection = database.Connect();
  if (!connection.ok()) return connection.status();
  absl::StatusOr<std::vector<Row>> rows = FetchAll(**connection, kOverview);
  if (!rows.ok()) return rows.status();
  const Row& row = rows->at(0);
  return OverviewNumbers{.threads = std::get<uint64_t>(row[0]),
                         .functions_called = std::get<uint64_t>(row[1]),
                         .paths = std::get<uint64_t>(row[2]),
                         .calls = std::get<uint64_t>(row[3]),
                         .span_ns = std::get<uint64_t>(row[4])};
}

}  // namespace flightrec::query_engine
