#include "services/query_engine/views/function_view.h"

#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/ids/hex16.h"
#include "services/query_engine/engine/statement.h"

namespace flightrec::query_engine {
namespace {

constexpr char kColumns[] =
    "f.function_id, f.name, f.symbol, f.module, f.build_id, f.function_offset, f.size, "
    "f.source_file, f.source_line, r.calls, r.calls_timed, r.total_ns, r.self_ns, r.min_ns, "
    "r.p50_ns, r.p90_ns, r.p99_ns, r.max_ns";

// The last row of a page: what it is ordered by, and its function.
struct Position {
  uint64_t value = std::numeric_limits<uint64_t>::max();
  uint64_t function_id = 0;
};

std::string OrderColumn(FunctionOrder order) {
  switch (order) {
    case FunctionOrder::kSelf:
      return "self_ns";
    case FunctionOrder::kTotal:
      return "total_ns";
    case FunctionOrder::kCalls:
      return "calls";
    case FunctionOrder::kP99:
      return "p99_ns";
    case FunctionOrder::kMax:
      return "max_ns";
  }
  return "self_ns";
}

uint64_t OrderValue(FunctionOrder order, const CallTotals& totals) {
  switch (order) {
    case FunctionOrder::kSelf:
      return totals.self_ns;
    case FunctionOrder::kTotal:
      return totals.total_ns;
    case FunctionOrder::kCalls:
      return totals.calls;
    case FunctionOrder::kP99:
      return totals.p99_ns;
    case FunctionOrder::kMax:
      return totals.max_ns;
  }
  return totals.self_ns;
}

std::string MakeToken(FunctionOrder order, const FunctionRow& last) {
  return absl::StrCat(OrderColumn(order), "-", OrderValue(order, last.totals), "-",
                      ids::Hex16(last.function.function_id()));
}

absl::StatusOr<Position> ParseToken(FunctionOrder order, const std::string& token) {
  Position position;
  if (token.empty()) return position;
  const std::vector<std::string> parts = absl::StrSplit(token, '-');
  if (parts.size() == 3 && parts[0] == OrderColumn(order) &&
      absl::SimpleAtoi(parts[1], &position.value)) {
    const absl::StatusOr<uint64_t> id = ids::ParseHex16(parts[2]);
    if (id.ok()) {
      position.function_id = *id;
      return position;
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("page_token: \"", token, "\" was not given by this list in this order"));
}

const std::string& Text(const Value& value) { return std::get<std::string>(value); }
uint64_t Number(const Value& value) { return std::get<uint64_t>(value); }

FunctionRow MakeRow(const Row& row) {
  FunctionRow result;
  trace::v1::Function& function = result.function;
  function.set_function_id(Number(row[0]));
  function.set_name(Text(row[1]));
  function.set_symbol(Text(row[2]));
  function.set_module(Text(row[3]));
  function.set_build_id(Text(row[4]));
  function.set_offset(Number(row[5]));
  function.set_size(Number(row[6]));
  function.set_source_file(Text(row[7]));
  function.set_source_line(static_cast<uint32_t>(Number(row[8])));
  CallTotals& totals = result.totals;
  int column = 9;
  for (uint64_t* field :
       {&totals.calls, &totals.calls_timed, &totals.total_ns, &totals.self_ns, &totals.min_ns,
        &totals.p50_ns, &totals.p90_ns, &totals.p99_ns, &totals.max_ns}) {
    *field = Number(row[column++]);
  }
  return result;
}

}  // namespace

absl::StatusOr<FunctionPage> ListFunctions(Database& database, const FunctionQuery& query) {
  absl::StatusOr<Position> after = ParseToken(query.order, query.page_token);
  if (!after.ok()) return after.status();
  absl::StatusOr<std::unique_ptr<Connection>> connection = database.Connect();
  if (!connection.ok()) return connection.status();

  const std::string from =
      " FROM rollup.functions r JOIN functions f USING (function_id) WHERE contains(f.name, $1) ";
  const std::vector<Value> name = {query.name_contains};
  absl::StatusOr<std::vector<Row>> total =
      FetchAll(**connection, "SELECT count(*)::UBIGINT" + from, name);
  if (!total.ok()) return total.status();

  const std::string by = "r." + OrderColumn(query.order);
  const std::string sql =
      absl::StrCat("SELECT ", kColumns, from, "AND (", by, " < $2 OR (", by,
                   " = $2 AND r.function_id > $3)) ORDER BY ", by, " DESC, r.function_id LIMIT $4");
  const std::vector<Value> parameters = {query.name_contains, after->value, after->function_id,
                                         int64_t{query.page_size} + 1};
  absl::StatusOr<std::vector<Row>> rows = FetchAll(**connection, sql, parameters);
  if (!rows.ok()) return rows.status();

  FunctionPage page;
  page.total_size = Number(total->at(0).at(0));
  for (const Row& row : *rows) page.rows.push_back(MakeRow(row));
  if (page.rows.size() > static_cast<size_t>(query.page_size)) {
    page.rows.pop_back();
    page.next_page_token = MakeToken(query.order, page.rows.back());
  }
  return page;
}

}  // namespace flightrec::query_engine
