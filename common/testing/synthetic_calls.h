// Calls as a traced program would make them: a random but fixed call graph, run
// with times that vary a little, for tests and benchmarks of what carries calls.
//
// Not thread-safe; same seed, same calls. Does not imitate any real program.
#ifndef COMMON_TESTING_SYNTHETIC_CALLS_H_
#define COMMON_TESTING_SYNTHETIC_CALLS_H_

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

#include "common/chunk/builder.h"
#include "common/chunk/chunk.h"

namespace flightrec::testing {

struct EndedCall {
  chunk::Call call;
  ids::FunctionId function_id = 0;
};

class SyntheticThread {
 public:
  static constexpr size_t kFunctions = 120;
  static constexpr size_t kMaxCallees = 4;
  static constexpr size_t kMaxDepth = 24;

  explicit SyntheticThread(uint64_t seed);

  // The next `count` calls or, to let open calls end, up to kMaxDepth more; in
  // order of their end.
  std::vector<EndedCall> Run(size_t count);

 private:
  struct Function {
    ids::FunctionId id = 0;
    uint64_t self_ticks = 0;
    std::vector<size_t> callees;
  };

  void RunCall(size_t function, uint64_t parent_path, size_t depth);
  void Pass(uint64_t ticks);
  bool Chance(unsigned percent);

  std::mt19937_64 random_;
  std::vector<Function> functions_;
  uint64_t now_ticks_ = 1'000'000'000;
  uint64_t last_ordinal_ = 0;
  size_t wanted_ = 0;
  std::vector<EndedCall> ended_;
};

// `calls` as a chunk with an arbitrary but complete header.
chunk::CallChunk MakeCallChunk(const std::vector<EndedCall>& calls, uint64_t chunk_ordinal = 0);

}  // namespace flightrec::testing

#endif  // COMMON_TESTING_SYNTHETIC_CALLS_H_
