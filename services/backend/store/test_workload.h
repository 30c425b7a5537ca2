// What the crash tests write, and what has to be there afterwards: batch N is always the same, so
// that a test knows every byte of what was acknowledged.
//
// Thread-safe: pure functions.
#ifndef SERVICES_BACKEND_STORE_TEST_WORKLOAD_H_
#define SERVICES_BACKEND_STORE_TEST_WORKLOAD_H_

#include <cstdint>
#include <string>

#include "common/ids/ulid.h"
#include "services/backend/store/batch.h"
#include "services/backend/store/blocking_store.h"

namespace flightrec::backend {

// A recording takes this many batches of one chunk each; the last one seals it.
inline constexpr uint64_t kBatchesPerRecording = 10;

ids::Ulid WorkloadRecording(uint64_t sequence);
std::string WorkloadChunk(uint64_t sequence);
// The recording as the batch leaves it.
trace::v1::Recording WorkloadState(uint64_t sequence);
Batch WorkloadBatch(uint64_t sequence);

// So small that flushes, compactions and new logs happen within a hundred batches.
DatabaseOptions SmallFiles();

// Commits batches from `next` on until one fails or `last` is done; the last one acknowledged.
uint64_t CommitWorkload(BlockingStore& store, uint64_t next, uint64_t last);

struct WorkloadReading {
  // What is missing although it was acknowledged, altered, or there although nobody sent it. Empty:
  // nothing is.
  std::string problem;
  // What the store itself says of damage.
  std::string reported;
  uint64_t durable_sequence = 0;
};
// Reads everything up to the store's own sequence, at least `acknowledged`.
WorkloadReading ReadWorkload(BlockingStore& store, uint64_t acknowledged);

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_STORE_TEST_WORKLOAD_H_
