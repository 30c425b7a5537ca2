#include "common/chunk/builder.h"

#include <bit>
#include <cstddef>
#include <utility>

namespace flightrec::chunk {

uint32_t CallChunkBuilder::FindPath(uint64_t path_id, ids::FunctionId function_id) {
  const auto [entry, added] =
      index_of_path_.try_emplace(path_id, static_cast<uint32_t>(paths_.size()));
  if (added) paths_.push_back({path_id, function_id});
  cache_[path_id >> (64 - kCacheBits)] = {path_id, generation_, entry->second};
  return entry->second;
}

void CallChunkBuilder::AddBehindWindow(const Call& call, uint32_t path) {
  const uint64_t place = call.ordinal - first_;
  if (place >= kMaxPlaces) {
    outside_.push_back({call.ordinal, call.start_ticks, call.duration_ticks, path});
    return;
  }
  const uint64_t places = std::max(kMinPlaces, std::bit_ceil(place + 1));
  window_path_.resize(places, kNoPath);
  window_start_.resize(places);
  window_duration_.resize(places);
}

void CallChunkBuilder::TakeWindow(CallColumns& calls) {
  const size_t count = low_ <= high_ ? high_ - low_ + 1 : 0;
  const auto low = static_cast<std::ptrdiff_t>(count == 0 ? 0 : low_);
  const auto end = low + static_cast<std::ptrdiff_t>(count);
  calls.path_index.assign(window_path_.begin() + low, window_path_.begin() + end);
  calls.start_ticks.assign(window_start_.begin() + low, window_start_.begin() + end);
  calls.duration_ticks.assign(window_duration_.begin() + low, window_duration_.begin() + end);
  calls.ordinal.resize(count);
  for (size_t i = 0; i < count; ++i) calls.ordinal[i] = first_ + low_ + i;
  std::fill(window_path_.begin() + low, window_path_.begin() + end, kNoPath);
  low_ = ~uint64_t{0};
  high_ = 0;
}

void CallChunkBuilder::DropHoles(CallColumns& calls) {
  size_t kept = 0;
  for (size_t i = 0; i < calls.size(); ++i) {
    // Written also when it is not kept, and then written over.
    calls.ordinal[kept] = calls.ordinal[i];
    calls.path_index[kept] = calls.path_index[i];
    calls.start_ticks[kept] = calls.start_ticks[i];
    calls.duration_ticks[kept] = calls.duration_ticks[i];
    kept += calls.path_index[i] != kNoPath ? 1 : 0;
  }
  calls.ordinal.resize(kept);
  calls.path_index.resize(kept);
  calls.start_ticks.resize(kept);
  calls.duration_ticks.resize(kept);
}

void CallChunkBuilder::TakeOutside(CallColumns& calls) {
  if (outside_.empty()) return;
  std::stable_sort(outside_.begin(), outside_.end(),
                   [](const auto& a, const auto& b) { return a.ordinal < b.ordinal; });
  const auto end = std::unique(outside_.begin(), outside_.end(),
                               [](const auto& a, const auto& b) { return a.ordinal == b.ordinal; });
  const auto window = std::partition_point(outside_.begin(), end,
                                           [&](const auto& call) { return call.ordinal < first_; });
  const auto before = static_cast<size_t>(window - outside_.begin());
  calls.ordinal.insert(calls.ordinal.begin(), before, 0);
  calls.path_index.insert(calls.path_index.begin(), before, 0);
  calls.start_ticks.insert(calls.start_ticks.begin(), before, 0);
  calls.duration_ticks.insert(calls.duration_ticks.begin(), before, 0);
  for (size_t i = 0; i < before; ++i) {
    calls.ordinal[i] = outside_[i].ordinal;
    calls.path_index[i] = outside_[i].path_index;
    calls.start_ticks[i] = outside_[i].start_ticks;
    calls.duration_ticks[i] = outside_[i].duration_ticks;
  }
  for (auto call = window; call != end; ++call) {
    calls.ordinal.push_back(call->ordinal);
    calls.path_index.push_back(call->path_index);
    calls.start_ticks.push_back(call->start_ticks);
    calls.duration_ticks.push_back(call->duration_ticks);
  }
  outside_.clear();
}

void CallChunkBuilder::TakePaths(CallChunk& chunk) {
  position_.assign(paths_.size(), kNoPath);
  chunk.paths.clear();
  for (uint32_t& index : chunk.calls.path_index) {
    uint32_t& position = position_[index];
    if (position == kNoPath) [[unlikely]] {
      position = static_cast<uint32_t>(chunk.paths.size());
      chunk.paths.push_back(paths_[index]);
    }
    index = position;
  }
  paths_.clear();
  index_of_path_.clear();
  ++generation_;
}

void CallChunkBuilder::BuildInto(CallChunk& chunk) {
  chunk.header = ChunkHeader();
  chunk.open_calls.clear();
  chunk.lost_before.clear();
  chunk.filtered_before.clear();
  TakeWindow(chunk.calls);
  if (chunk.calls.size() != std::exchange(taken_, 0)) DropHoles(chunk.calls);
  TakeOutside(chunk.calls);
  TakePaths(chunk);
  count_ = 0;
}

CallChunk CallChunkBuilder::Build() {
  CallChunk chunk;
  BuildInto(chunk);
  SummarizeCalls(chunk.calls, chunk.header);
  return chunk;
}

}  // namespace flightrec::chunk
