// The tree of calling contexts as nodes, and how it is cut down to its heavy
// part. Plain data and a pure function. Does not read a database.
#ifndef SERVICES_QUERY_ENGINE_VIEWS_TREE_PRUNING_H_
#define SERVICES_QUERY_ENGINE_VIEWS_TREE_PRUNING_H_

#include <cstdint>
#include <string>
#include <vector>

namespace flightrec::query_engine {

struct CallTreeNode {
  uint64_t path_id = 0;
  uint64_t parent_path_id = 0;  // 0 for a root
  uint64_t function_id = 0;
  std::string function_name;
  int32_t depth = 0;
  uint64_t calls = 0;
  // Of a path whose own calls have no times (open, lost): of those below it.
  uint64_t total_ns = 0;
  uint64_t self_ns = 0;

  bool operator==(const CallTreeNode&) const = default;
};

struct CallTree {
  // Parents before their children, siblings by time.
  std::vector<CallTreeNode> nodes;
  // Those left out included.
  uint64_t total_nodes = 0;
  bool truncated = false;
};

struct CallTreeLimits {
  int max_depth = 64;
  // Of the time of all roots.
  double min_share = 0;
  int max_nodes = 1000;
};

// `nodes` in any order, path ids unique; a node whose parent is not among them
// is a root. Keeps at most limits.max_nodes, those with the most time first,
// never a child without its parent.
CallTree Prune(std::vector<CallTreeNode> nodes, const CallTreeLimits& limits);

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_VIEWS_TREE_PRUNING_H_
