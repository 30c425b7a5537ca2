// Collects the calls of one thread, in any order, into a CallChunk.
//
// Not thread-safe. Does not fill the header beyond what the calls say and does
// not encode.
#ifndef COMMON_CHUNK_BUILDER_H_
#define COMMON_CHUNK_BUILDER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/chunk/chunk.h"

namespace flightrec::chunk {

struct Call {
  uint64_t ordinal = 0;
  uint64_t path_id = 0;
  uint64_t start_ticks = 0;
  uint64_t duration_ticks = 0;
};

class CallChunkBuilder {
 public:
  // `function_id` is the last function of `call.path_id`.
  void Add(const Call& call, ids::FunctionId function_id) {
    AddAll(1, [&](size_t) { return CallOfFunction{call, function_id}; });
  }

  struct CallOfFunction {
    Call call;
    ids::FunctionId function_id;
  };
  // Adds what `at(i)` returns for each i < count.
  template <typename At>
  void AddAll(size_t count, At at);

  size_t call_count() const { return count_; }
  size_t path_count() const { return paths_.size(); }

  // Returns the calls added since the last Build, sorted by ordinal; of calls
  // with the same ordinal the first added stays. Header fields that follow from
  // the calls are set, the others are default.
  CallChunk Build();
  // The same into `chunk`, reusing the memory it holds, with a header that is all default.
  void BuildInto(CallChunk& chunk);

 private:
  static constexpr uint32_t kNoPath = ~uint32_t{0};
  // The first call of a chunk to end may have begun behind as many others that end later.
  static constexpr uint64_t kPlacesBefore = 4096;
  static constexpr uint64_t kMinPlaces = 2 * kPlacesBefore;
  static constexpr uint64_t kMaxPlaces = uint64_t{1} << 17;

  struct OutsideCall {
    uint64_t ordinal;
    uint64_t start_ticks;
    uint64_t duration_ticks;
    uint32_t path_index;
  };

  // In front of index_of_path_: most calls have a path that was seen shortly before.
  struct CachedPath {
    uint64_t path_id = 0;
    uint32_t generation = 0;
    uint32_t index = 0;
  };
  static constexpr int kCacheBits = 10;

  uint32_t IndexOfPath(uint64_t path_id, ids::FunctionId function_id) {
    // The upper bits of a path are the better mixed ones.
    const CachedPath& cached = cache_[path_id >> (64 - kCacheBits)];
    if (cached.generation == generation_ && cached.path_id == path_id) return cached.index;
    return FindPath(path_id, function_id);
  }
  uint32_t FindPath(uint64_t path_id, ids::FunctionId function_id);
  // Of a call that has no place in the window yet.
  void AddBehindWindow(const Call& call, uint32_t path);
  void TakeWindow(CallColumns& calls);
  static void DropHoles(CallColumns& calls);
  void TakeOutside(CallColumns& calls);
  // Paths are numbered by first appearance: a parent in the chunk comes before its children, and
  // frequent paths tend to get small numbers.
  void TakePaths(CallChunk& chunk);

  // Calls come in order of their end, so all but the few that were open for long have ordinals in
  // a range not much wider than their number: those find their place without comparisons, at
  // ordinal - first_. Places without a call have the path kNoPath.
  std::vector<uint32_t> window_path_;
  std::vector<uint64_t> window_start_;
  std::vector<uint64_t> window_duration_;
  std::vector<OutsideCall> outside_;
  uint64_t first_ = 0;
  // Of the places taken, and how many.
  uint64_t low_ = ~uint64_t{0};
  uint64_t high_ = 0;
  size_t taken_ = 0;
  size_t count_ = 0;

  std::vector<PathEntry> paths_;
  absl::flat_hash_map<uint64_t, uint32_t> index_of_path_;
  std::vector<CachedPath> cache_ = std::vector<CachedPath>(size_t{1} << kCacheBits);
  // Entries of the cache of another generation are of an earlier chunk.
  uint32_t generation_ = 1;
  // Scratch of Build: the position of a path in the chunk.
  std::vector<uint32_t> position_;
};

template <typename At>
void CallChunkBuilder::AddAll(size_t count, At at) {
  if (count == 0) return;
  if (count_ == 0) first_ = at(0).call.ordinal - std::min(at(0).call.ordinal, kPlacesBefore);
  count_ += count;
  // Copies, so that they stay in registers.
  const uint64_t first = first_;
  uint64_t low = low_;
  uint64_t high = high_;
  size_t taken = taken_;
  for (size_t i = 0; i < count; ++i) {
    const CallOfFunction one = at(i);
    const uint32_t path = IndexOfPath(one.call.path_id, one.function_id);
    const uint64_t place = one.call.ordinal - first;
    if (place >= window_path_.size()) [[unlikely]] {
      AddBehindWindow(one.call, path);
      if (place >= window_path_.size()) continue;
    }
    if (window_path_[place] != kNoPath) [[unlikely]]
      continue;
    ++taken;
    window_path_[place] = path;
    window_start_[place] = one.call.start_ticks;
    window_duration_[place] = one.call.duration_ticks;
    low = std::min(low, place);
    high = std::max(high, place);
  }
  low_ = low;
  high_ = high;
  taken_ = taken;
}

}  // namespace flightrec::chunk

#endif  // COMMON_CHUNK_BUILDER_H_
