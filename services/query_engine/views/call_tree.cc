#include "services/query_engine/views/call_tree.h"

#include <memory>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/ids/hex16.h"
#include "common/path/path.h"
#include "services/query_engine/engine/statement.h"
#include "services/query_engine/views/tree_pruning.h"

namespace flightrec::query_engine {
namespace {

constexpr char kPaths[] = R"(
SELECT p.path_id, coalesce(p.parent_path_id, 0), p.function_id, f.name, p.depth,
  coalesce(r.calls, 0), coalesce(r.total_ns, 0), coalesce(r.self_ns, 0)
FROM paths p JOIN functions f USING (function_id) LEFT JOIN rollup.paths r USING (path_id)
)";

constexpr char kFindFunction[] = R"(
SELECT function_id FROM functions WHERE name = $1 OR symbol = $1
  OR printf('%016x', function_id) = $1
)";

// Few people write a function's arguments: names are compared with and without.
constexpr char kSimilarNames[] = R"(
SELECT name, greatest(jaro_winkler_similarity(lower(name), lower($1)),
  jaro_winkler_similarity(lower(split_part(name, '(', 1)), lower($1))) AS likeness
FROM functions WHERE contains(lower(name), lower($1)) OR likeness > 0.8
ORDER BY contains(lower(name), lower($1)) DESC, likeness DESC, name LIMIT 5
)";

absl::StatusOr<std::vector<CallTreeNode>> ReadPaths(Connection& connection) {
  absl::StatusOr<std::vector<Row>> rows = FetchAll(connection, kPaths);
  if (!rows.ok()) return rows.status();
  std::vector<CallTreeNode> nodes;
  nodes.reserve(rows->size());
  for (const Row& row : *rows) {
    nodes.push_back({.path_id = std::get<uint64_t>(row[0]),
                     .parent_path_id = std::get<uint64_t>(row[1]),
                     .function_id = std::get<uint64_t>(row[2]),
                     .function_name = std::get<std::string>(row[3]),
                     .depth = static_cast<int32_t>(std::get<int64_t>(row[4])),
                     .calls = std::get<uint64_t>(row[5]),
                     .total_ns = std::get<uint64_t>(row[6]),
                     .self_ns = std::get<uint64_t>(row[7])});
  }
  return nodes;
}

absl::StatusOr<std::vector<uint64_t>> FindFunctions(Connection& connection,
                                                    const std::string& function) {
  const std::vector<Value> parameters = {function};
  absl::StatusOr<std::vector<Row>> rows = FetchAll(connection, kFindFunction, parameters);
  if (!rows.ok()) return rows.status();
  std::vector<uint64_t> found;
  for (const Row& row : *rows) found.push_back(std::get<uint64_t>(row[0]));
  if (!found.empty()) return found;
  absl::StatusOr<std::vector<Row>> similar = FetchAll(connection, kSimilarNames, parameters);
  if (!similar.ok()) return similar.status();
  std::vector<std::string> names;
  for (const Row& row : *similar) names.push_back(std::get<std::string>(row[0]));
  return absl::NotFoundError(
      absl::StrCat("function: no function is named \"", function, "\"; ",
                   names.empty() ? "ListFunctions gives their names" : "did you mean ",
                   absl::StrJoin(names, ", ")));
}

// Turns paths around: from the function asked for to those above it.
class Upward {
 public:
  Upward(const std::vector<CallTreeNode>& paths, int max_depth)
      : paths_(paths), max_depth_(max_depth) {
    for (size_t i = 0; i < paths.size(); ++i) index_of_[paths[i].path_id] = i;
  }

  void AddPathsOf(uint64_t function_id) {
    for (const CallTreeNode& path : paths_) {
      if (path.function_id == function_id) AddPath(path);
    }
  }

  std::vector<CallTreeNode> Take() {
    std::vector<CallTreeNode> nodes;
    for (auto& [id, node] : nodes_) nodes.push_back(std::move(node));
    return nodes;
  }

 private:
  const CallTreeNode* ParentOf(const CallTreeNode& path) const {
    const auto parent = index_of_.find(path.parent_path_id);
    return parent == index_of_.end() ? nullptr : &paths_[parent->second];
  }

  bool IsRecursive(const CallTreeNode& path) const {
    for (const CallTreeNode* above = ParentOf(path); above != nullptr; above = ParentOf(*above)) {
      if (above->function_id == path.function_id) return true;
    }
    return false;
  }

  void AddPath(const CallTreeNode& path) {
    const uint64_t total_ns = IsRecursive(path) ? 0 : path.total_ns;
    uint64_t parent_id = 0;
    uint64_t id = kRootPath;
    int32_t depth = 0;
    // One level more than is shown, so that the tree knows it was cut. A recursion of n calls has
    // n paths: climbing all of each would take n * n steps.
    for (const CallTreeNode* at = &path; at != nullptr && depth - 1 <= max_depth_;
         at = ParentOf(*at), ++depth) {
      id = ExtendPath(id, at->function_id);
      CallTreeNode& node = nodes_[id];
      node.path_id = id;
      node.parent_path_id = parent_id;
      node.function_id = at->function_id;
      node.function_name = at->function_name;
      node.depth = depth;
      node.calls += path.calls;
      node.total_ns += total_ns;
      node.self_ns += path.self_ns;
      parent_id = id;
    }
  }

  const std::vector<CallTreeNode>& paths_;
  const int max_depth_;
  absl::flat_hash_map<uint64_t, size_t> index_of_;
  absl::flat_hash_map<uint64_t, CallTreeNode> nodes_;
};

}  // namespace

absl::StatusOr<CallTree> CalleeTree(Database& database, const CallTreeLimits& limits) {
  absl::StatusOr<std::unique_ptr<Connection>> connection = database.Connect();
  if (!connection.ok()) return connection.status();
  absl::StatusOr<std::vector<CallTreeNode>> nodes = ReadPaths(**connection);
  if (!nodes.ok()) return nodes.status();
  return Prune(*std::move(nodes), limits);
}

absl::StatusOr<CallTree> CallerTree(Database& database, const std::string& function,
                                    const CallTreeLimits& limits) {
  absl::StatusOr<std::unique_ptr<Connection>> connection = database.Connect();
  if (!connection.ok()) return connection.status();
  absl::StatusOr<std::vector<uint64_t>> functions = FindFunctions(**connection, function);
  if (!functions.ok()) return functions.status();
  absl::StatusOr<std::vector<CallTreeNode>> paths = ReadPaths(**connection);
  if (!paths.ok()) return paths.status();
  Upward upward(*paths, limits.max_depth);
  for (uint64_t function_id : *functions) upward.AddPathsOf(function_id);
  return Prune(upward.Take(), limits);
}

}  // namespace flightrec::query_engine
