// A thread that calls functions by script, for tests: what was called when
// becomes chunks with the right ordinals and paths.
//
//   ThreadScript thread(7);
//   thread.Enter(10, kMain).Enter(20, kParse).Leave(30).Leave(90);
//   chunk::CallChunk chunk = thread.Seal();
//
// Ticks are nanoseconds since the epoch. Not thread-safe.
#ifndef SERVICES_QUERY_ENGINE_LOAD_THREAD_SCRIPT_H_
#define SERVICES_QUERY_ENGINE_LOAD_THREAD_SCRIPT_H_

#include <cstdint>
#include <vector>

#include "common/chunk/builder.h"
#include "common/chunk/chunk.h"

namespace flightrec::query_engine {

class ThreadScript {
 public:
  static constexpr uint64_t kProcess = 0x50;

  explicit ThreadScript(uint64_t thread_id) : thread_id_(thread_id) {}

  ThreadScript& Enter(uint64_t at, uint64_t function_id);
  ThreadScript& Leave(uint64_t at);
  // The call is counted, its times are gone.
  ThreadScript& LeaveLost(uint64_t at);

  // What happened since the last Seal.
  chunk::CallChunk Seal(bool is_final = false);

 private:
  const uint64_t thread_id_;
  chunk::CallChunkBuilder builder_;
  std::vector<chunk::LostCalls> lost_;
  std::vector<chunk::OpenCall> stack_;
  std::vector<chunk::OpenCall> open_at_start_;
  uint64_t last_ordinal_ = 0;
  uint64_t chunk_ordinal_ = 0;
};

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_LOAD_THREAD_SCRIPT_H_
