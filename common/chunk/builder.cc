#include "common/chunk/builder.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace flightrec::chunk {
namespace {

constexpr uint64_t kPlacesPerRow = 4;
constexpr uint32_t kNoRow = ~uint32_t{0};

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
  rows_.push_back({call.ordinal, call.start_ticks, call.duration_ticks,
                   IndexOfPath(call.path_id, function_id)});
}

uint32_t CallChunkBuilder::IndexOfPath(uint64_t path_id, ids::FunctionId function_id) {
  // The upper bits of a path are the better mixed ones.
  CachedPath& cached = cache_[path_id >> (64 - kCacheBits)];
  if (cached.generation == generation_ && cached.path_id == path_id) return cached.index;
  const auto [entry, added] =
      index_of_path_.try_emplace(path_id, static_cast<uint32_t>(paths_.size()));
  if (added) paths_.push_back({path_id, function_id});
  cached = {path_id, generation_, entry->second};
  return entry->second;
}

void CallChunkBuilder::SortRows() {
  if (rows_.empty()) return;
  uint64_t last = 0;
  for (const Row& row : rows_) last = std::max(last, row.ordinal);
  // Calls come in order of their end, so all but the few that were open for long have ordinals in
  // a range not much wider than their number: those find their place without comparisons.
  const uint64_t width = kPlacesPerRow * rows_.size();
  const uint64_t first = last >= width ? last - width + 1 : 0;
  places_.assign(last - first + 1, kNoRow);
  std::vector<Row>& sorted = sorted_rows_;
  sorted.clear();
  for (uint32_t i = 0; i < rows_.size(); ++i) {
    if (rows_[i].ordinal < first) {
      sorted.push_back(rows_[i]);
    } else if (uint32_t& place = places_[rows_[i].ordinal - first]; place == kNoRow) {
      place = i;
    }
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Row& a, const Row& b) { return a.ordinal < b.ordinal; });
  const auto same = [](const Row& a, const Row& b) { return a.ordinal == b.ordinal; };
  sorted.erase(std::unique(sorted.begin(), sorted.end(), same), sorted.end());
  for (const uint32_t row : places_) {
    if (row != kNoRow) sorted.push_back(rows_[row]);
  }
  rows_.swap(sorted);
}

CallChunk CallChunkBuilder::Build() {
  SortRows();
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
  ++generation_;
  return chunk;
}

}  // namespace flightrec::chunk
