#include "services/query_engine/load/path_table.h"

#include "common/path/path.h"

namespace flightrec::query_engine {
namespace {

constexpr int32_t kDepthUnknown = -1;

}  // namespace

uint32_t PathTable::Add(uint64_t path_id, uint64_t function_id) {
  const auto [found, added] = index_of_.try_emplace(path_id, static_cast<uint32_t>(size()));
  if (added) {
    entries_.push_back({.path_id = path_id,
                        .function_id = function_id,
                        .parent_path_id = ParentPath(path_id, function_id)});
  }
  return found->second;
}

void PathTable::Link() {
  if (linked_ == size()) return;
  for (Entry& entry : entries_) {
    entry.depth = kDepthUnknown;
    if (entry.parent != kNone || entry.parent_path_id == kRootPath) continue;
    const auto parent = index_of_.find(entry.parent_path_id);
    if (parent != index_of_.end()) entry.parent = parent->second;
  }
  for (uint32_t i = 0; i < size(); ++i) entries_[i].depth = Depth(i);
  linked_ = size();
}

int32_t PathTable::Depth(uint32_t index) {
  // Up to the first ancestor whose depth is known. A cycle needs a 64-bit
  // collision; the size of the table bounds the walk all the same.
  size_t steps = 0;
  uint32_t at = index;
  while (entries_[at].depth == kDepthUnknown && entries_[at].parent != kNone && steps < size()) {
    at = entries_[at].parent;
    ++steps;
  }
  const int32_t base = entries_[at].depth == kDepthUnknown ? 0 : entries_[at].depth;
  return base + static_cast<int32_t>(steps);
}

}  // namespace flightrec::query_engine
