// Functions of a recording with their calls added up, a page at a time.
//
// Stateless; from any thread. Reads the sums made at load, so a page costs the
// same for any number of calls.
#ifndef SERVICES_QUERY_ENGINE_VIEWS_FUNCTION_VIEW_H_
#define SERVICES_QUERY_ENGINE_VIEWS_FUNCTION_VIEW_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "flightrec/trace/v1/trace.pb.h"
#include "services/query_engine/engine/database.h"
#include "services/query_engine/views/call_totals.h"

namespace flightrec::query_engine {

enum class FunctionOrder { kSelf, kTotal, kCalls, kP99, kMax };

struct FunctionQuery {
  FunctionOrder order = FunctionOrder::kSelf;
  // Only functions whose name holds this text; empty: all.
  std::string name_contains;
  int page_size = 50;
  // Of the page before; empty: the first page.
  std::string page_token;
};

struct FunctionRow {
  trace::v1::Function function;
  CallTotals totals;
};

struct FunctionPage {
  std::vector<FunctionRow> rows;
  // Empty on the last page.
  std::string next_page_token;
  // On all pages.
  uint64_t total_size = 0;
};

// Largest first, functions without calls left out. INVALID_ARGUMENT for a token
// that was not made by the same query.
absl::StatusOr<FunctionPage> ListFunctions(Database& database, const FunctionQuery& query);

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_VIEWS_FUNCTION_VIEW_H_
