// The tree of calling contexts of a recording, pruned to what is asked for.
//
// Stateless; from any thread. Cost follows the number of paths, not of calls.
#ifndef SERVICES_QUERY_ENGINE_VIEWS_CALL_TREE_H_
#define SERVICES_QUERY_ENGINE_VIEWS_CALL_TREE_H_

#include <string>

#include "absl/status/statusor.h"
#include "services/query_engine/engine/database.h"
#include "services/query_engine/views/tree_pruning.h"

namespace flightrec::query_engine {

// From the roots down.
absl::StatusOr<CallTree> CalleeTree(Database& database, const CallTreeLimits& limits);

// From `function`, a name or 16 hex digits, up to those that called it; a
// node's numbers are of the calls of `function` that came through it. Times of
// recursive calls count in the outermost one only. NOT_FOUND: no such function,
// with names that hold the text.
absl::StatusOr<CallTree> CallerTree(Database& database, const std::string& function,
                                    const CallTreeLimits& limits);

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_VIEWS_CALL_TREE_H_
