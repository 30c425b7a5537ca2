// What a chunk adds up to: calls, times and a histogram by function, calls and times by path. The
// comments of ChunkRollup in read.proto say what each field means.
//
// Thread-safe: pure functions.
#ifndef SERVICES_BACKEND_STORE_CHUNK_ROLLUP_H_
#define SERVICES_BACKEND_STORE_CHUNK_ROLLUP_H_

#include <cstdint>

#include "common/chunk/chunk.h"
#include "flightrec/read/v1/read.pb.h"

namespace flightrec::backend {

// Of a duration; two durations in one bucket differ by less than 1/64 of it.
uint32_t HistogramBucket(uint64_t duration_ns);

// `position`: of the chunk in its recording.
read::v1::ChunkRollup MakeChunkRollup(const chunk::CallChunk& chunk, uint64_t position);

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_STORE_CHUNK_ROLLUP_H_
