#include "services/query_engine/views/tree_pruning.h"

#include <algorithm>
#include <queue>
#include <utility>

#include "absl/container/flat_hash_map.h"

namespace flightrec::query_engine {
namespace {

class Pruning {
 public:
  Pruning(std::vector<CallTreeNode> nodes, const CallTreeLimits& limits)
      : nodes_(std::move(nodes)), limits_(limits), children_(nodes_.size()) {
    absl::flat_hash_map<uint64_t, size_t> index_of;
    for (size_t i = 0; i < nodes_.size(); ++i) index_of[nodes_[i].path_id] = i;
    for (size_t i = 0; i < nodes_.size(); ++i) {
      const auto parent = index_of.find(nodes_[i].parent_path_id);
      if (nodes_[i].parent_path_id != 0 && parent != index_of.end()) {
        children_[parent->second].push_back(i);
      } else {
        nodes_[i].parent_path_id = 0;
        roots_.push_back(i);
      }
    }
  }

  CallTree Run() {
    RaiseTotals();
    std::vector<bool> kept = Keep();
    CallTree tree;
    tree.total_nodes = nodes_.size();
    for (size_t root : roots_) Emit(root, kept, tree.nodes);
    tree.truncated = tree.nodes.size() < nodes_.size();
    return tree;
  }

 private:
  // A path whose own calls never ended still held the time of those below.
  void RaiseTotals() {
    std::vector<size_t> order = roots_;
    for (size_t i = 0; i < order.size(); ++i) {
      order.insert(order.end(), children_[order[i]].begin(), children_[order[i]].end());
    }
    for (auto node = order.rbegin(); node != order.rend(); ++node) {
      uint64_t below = 0;
      for (size_t child : children_[*node]) below += nodes_[child].total_ns;
      nodes_[*node].total_ns = std::max(nodes_[*node].total_ns, below);
    }
    const auto by_time = [this](size_t a, size_t b) { return ByTime(a, b); };
    std::sort(roots_.begin(), roots_.end(), by_time);
    for (auto& children : children_) std::sort(children.begin(), children.end(), by_time);
  }

  // Most time first; the id decides between equals, so that answers repeat.
  bool ByTime(size_t a, size_t b) const {
    if (nodes_[a].total_ns != nodes_[b].total_ns) return nodes_[a].total_ns > nodes_[b].total_ns;
    return nodes_[a].path_id < nodes_[b].path_id;
  }

  // A parent never has less time than a child, so taking the heaviest of those
  // whose parents are taken gives the heaviest of all.
  std::vector<bool> Keep() const {
    double all = 0;
    for (size_t root : roots_) all += static_cast<double>(nodes_[root].total_ns);
    const auto later = [this](size_t a, size_t b) { return ByTime(b, a); };
    std::priority_queue<size_t, std::vector<size_t>, decltype(later)> queue(later);
    for (size_t root : roots_) queue.push(root);
    std::vector<bool> kept(nodes_.size());
    for (int count = 0; !queue.empty() && count < limits_.max_nodes; ++count) {
      const size_t node = queue.top();
      queue.pop();
      if (static_cast<double>(nodes_[node].total_ns) < limits_.min_share * all) break;
      kept[node] = true;
      if (nodes_[node].depth >= limits_.max_depth) continue;
      for (size_t child : children_[node]) queue.push(child);
    }
    return kept;
  }

  // Depth first without recursion: trees are as deep as the traced stack.
  void Emit(size_t root, const std::vector<bool>& kept, std::vector<CallTreeNode>& out) {
    std::vector<size_t> stack = {root};
    while (!stack.empty()) {
      const size_t node = stack.back();
      stack.pop_back();
      if (!kept[node]) continue;
      out.push_back(std::move(nodes_[node]));
      stack.insert(stack.end(), children_[node].rbegin(), children_[node].rend());
    }
  }

  std::vector<CallTreeNode> nodes_;
  const CallTreeLimits limits_;
  std::vector<std::vector<size_t>> children_;
  std::vector<size_t> roots_;
};

}  // namespace

CallTree Prune(std::vector<CallTreeNode> nodes, const CallTreeLimits& limits) {
  return Pruning(std::move(nodes), limits).Run();
}

}  // namespace flightrec::query_engine
