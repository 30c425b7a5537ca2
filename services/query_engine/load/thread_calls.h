// Gathers the chunks of one thread and gives its calls in order of entry.
//
// Not thread-safe. Chunks come in order of their chunk ordinal.
#ifndef SERVICES_QUERY_ENGINE_LOAD_THREAD_CALLS_H_
#define SERVICES_QUERY_ENGINE_LOAD_THREAD_CALLS_H_

#include <cstdint>
#include <vector>

#include "absl/container/btree_map.h"
#include "common/chunk/chunk.h"
#include "services/query_engine/load/call_sweep.h"
#include "services/query_engine/load/path_table.h"

namespace flightrec::query_engine {

class ThreadCalls {
 public:
  // Paths go to `paths`, which outlives the object.
  explicit ThreadCalls(PathTable& paths) : paths_(paths) {}

  void Add(const chunk::CallChunk& chunk);

  // All calls, ended and open, by ordinal; of several with one ordinal (a chunk
  // that was sent twice) one stays. Leaves the object without calls.
  std::vector<SweptCall> TakeCalls();

  // Calls without times by function; function 0 is "not known which".
  const absl::btree_map<uint64_t, uint64_t>& lost() const { return lost_; }
  // Calls that a filter left out, by function.
  const absl::btree_map<uint64_t, uint64_t>& filtered() const { return filtered_; }
  // Chunks that are missing between those that came.
  uint64_t missing_chunks() const { return missing_chunks_; }

 private:
  void AddCalls(const chunk::CallChunk& chunk);
  void AddLost(const chunk::CallChunk& chunk);
  void KeepOpenCalls(const chunk::CallChunk& chunk);

  PathTable& paths_;
  std::vector<SweptCall> calls_;
  // As the latest chunk says; those that ended after all are among calls_.
  std::vector<SweptCall> open_;
  absl::btree_map<uint64_t, uint64_t> lost_;
  absl::btree_map<uint64_t, uint64_t> filtered_;
  uint64_t next_chunk_ordinal_ = 0;
  uint64_t missing_chunks_ = 0;
};

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_LOAD_THREAD_CALLS_H_
