// Every path seen in a recording, with its function, the path above it and its
// depth. Indices are dense and stay valid; paths come in any order.
//
// Not thread-safe. Does not hold calls.
#ifndef SERVICES_QUERY_ENGINE_LOAD_PATH_TABLE_H_
#define SERVICES_QUERY_ENGINE_LOAD_PATH_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace flightrec::query_engine {

class PathTable {
 public:
  // "No path": the root, or a path of which nothing is known but its id.
  static constexpr uint32_t kNone = UINT32_MAX;

  struct Entry {
    uint64_t path_id = 0;
    uint64_t function_id = 0;
    // kRootPath for the first function of a thread.
    uint64_t parent_path_id = 0;
    // kNone as long as the parent is unknown, or the root. After Link.
    uint32_t parent = kNone;
    // How many functions are above; paths under an unknown one count from it.
    // After Link.
    int32_t depth = 0;
  };

  // `function_id` is the last function of the path.
  uint32_t Add(uint64_t path_id, uint64_t function_id);

  // Resolves parents and depths of what was added since the last time, also of
  // earlier paths whose parents have come to be known.
  void Link();

  const Entry& operator[](uint32_t index) const { return entries_[index]; }
  size_t size() const { return entries_.size(); }

 private:
  int32_t Depth(uint32_t index);

  std::vector<Entry> entries_;
  absl::flat_hash_map<uint64_t, uint32_t> index_of_;
  size_t linked_ = 0;
};

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_LOAD_PATH_TABLE_H_
