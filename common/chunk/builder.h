// Collects the calls of one thread, in any order, into a CallChunk.
//
// Not thread-safe. Does not fill the header beyond what the calls say and does
// not encode.
#ifndef COMMON_CHUNK_BUILDER_H_
#define COMMON_CHUNK_BUILDER_H_

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
  void Add(const Call& call, ids::FunctionId function_id);

  size_t call_count() const { return rows_.size(); }
  size_t path_count() const { return paths_.size(); }

  // Returns the calls added since the last Build, sorted by ordinal; of calls
  // with the same ordinal the first added stays. Header fields that follow from
  // the calls are set, the others are default.
  CallChunk Build();

 private:
  struct Row {
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

  uint32_t IndexOfPath(uint64_t path_id, ids::FunctionId function_id);
  // By ordinal, each once.
  void SortRows();

  std::vector<Row> rows_;
  std::vector<PathEntry> paths_;
  absl::flat_hash_map<uint64_t, uint32_t> index_of_path_;
  std::vector<CachedPath> cache_ = std::vector<CachedPath>(size_t{1} << kCacheBits);
  // Entries of the cache of another generation are of an earlier chunk.
  uint32_t generation_ = 1;
  // Scratch of SortRows.
  std::vector<uint32_t> places_;
  std::vector<Row> sorted_rows_;
};

}  // namespace flightrec::chunk

#endif  // COMMON_CHUNK_BUILDER_H_
