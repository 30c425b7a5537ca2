#include "common/chunk/builder.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace flightrec::chunk {
namespace {

// Paths are numbered by first appearance: a parent in the chunk comes before
// its children, and frequent paths tend to get small numbers.
void RenumberPaths(CallChunk& chunk) {
  constexpr uint32_t kUnseen = ~uint32_t{0};
  std::vector<uint32_t> new_index(chunk.paths.size(), kUnseen);
  std::vector<PathEntry> paths;
  paths.reserve(chunk.paths.size());
  for (uint32_t& index : chunk.calls.path_index) {
    if (new_index[index] == kUnseen) {
      new_index[index] = static_cast<uint32_t>(paths.size());
      paths.push_back(chunk.paths[index]);
    }
    index = new_index[index];
  }
  chunk.paths = std::move(paths);
}

}  // namespace

void CallChunkBuilder::Add(const Call& call, ids::FunctionId function_id) {
  const auto [entry, added] =
      index_of_path_.try_emplace(call.path_id, static_cast<uint32_t>(paths_.size()));
  if (added) paths_.push_back({call.path_id, function_id});
  rows_.push_back({call.ordinal, call.start_ticks, call.duration_ticks, entry->second});
}

CallChunk CallChunkBuilder::Build() {
  const auto by_ordinal = [](const Row& a, const Row& b) { return a.ordinal < b.ordinal; };
  std::stable_sort(rows_.begin(), rows_.end(), by_ordinal);
  const auto same = [](const Row& a, const Row& b) { return a.ordinal == b.ordinal; };
  rows_.erase(std::unique(rows_.begin(), rows_.end(), same), rows_.end());

  CallChunk chunk;
  CallColumns& calls = chunk.calls;
  calls.ordinal.reserve(rows_.size());
  calls.path_index.reserve(rows_.size());
  calls.start_ticks.reserve(rows_.size());
  calls.duration_ticks.reserve(rows_.size());
  for (const Row& row : rows_) {
    calls.ordinal.push_back(row.ordinal);
    calls.path_index.push_back(row.path_index);
    calls.start_ticks.push_back(row.start_ticks);
    calls.duration_ticks.push_back(row.duration_ticks);
  }
  chunk.paths = std::move(paths_);
  RenumberPaths(chunk);
  SummarizeCalls(chunk.calls, chunk.header);
  rows_.clear();
  paths_.clear();
  index_of_path_.clear();
  return chunk;
}

}  // namespace flightrec::chunk
