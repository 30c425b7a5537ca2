// What is fixed about the draining of one process. Values; does not check them.
#ifndef SERVICES_TRACER_DRAIN_DRAIN_OPTIONS_H_
#define SERVICES_TRACER_DRAIN_DRAIN_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/time/time.h"
#include "common/chunk/codec.h"
#include "common/clock/calibration.h"
#include "common/ids/entity_id.h"
#include "common/ids/ulid.h"

namespace flightrec::drain {

struct ProcessIdentity {
  ids::Ulid recording;
  ids::ProcessId process_id = 0;
  clock::Calibration calibration;
  // By the function index of the lane's records.
  std::vector<ids::FunctionId> functions;
  // The largest error of times from these ticks on until now. Null: ticks are exact.
  std::function<uint64_t(uint64_t)> clock_error;
};

struct DrainOptions {
  // How many records a thread's lane holds.
  size_t lane_calls = 32768;
  // A chunk is sealed when it has this many calls (at most chunk::kMaxCallsPerChunk) or when its
  // first call was drained this long ago.
  uint32_t max_calls_per_chunk = 32768;
  absl::Duration max_chunk_age = absl::Milliseconds(200);
  int compression_level = chunk::kDefaultCompressionLevel;
  // Longest pause between two looks at the lanes. A lane must not fill in this time: the default
  // lane holds 32,768 calls, 1.6 ms of a thread that makes 20 million a second.
  absl::Duration max_pause = absl::Milliseconds(1);
  // Of the loop's thread, as nice(1) counts. On a busy machine a lane fills while the loop waits
  // for a processor. Stays as it is where the tracer may not raise it.
  int niceness = -10;
  // How often threads are asked whether they still exist.
  absl::Duration thread_check_interval = absl::Milliseconds(50);
};

// Of the calls open when a chunk begins, this many innermost ones are listed.
inline constexpr size_t kMaxListedOpenCalls = 1024;

}  // namespace flightrec::drain

#endif  // SERVICES_TRACER_DRAIN_DRAIN_OPTIONS_H_
