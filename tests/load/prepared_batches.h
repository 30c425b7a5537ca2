// Batches of synthetic calls as the bytes that go over the wire, made before the clock runs.
//
// Thread-safe: pure functions of what they are given. The chunks of a producer differ in thread and
// ordinal and share a few bodies, so that many are made quickly; their checksums hold.
#ifndef TESTS_LOAD_PREPARED_BATCHES_H_
#define TESTS_LOAD_PREPARED_BATCHES_H_

#include <grpcpp/grpcpp.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "common/ids/ulid.h"

namespace flightrec::load {

inline constexpr size_t kCallsPerChunk = 60000;
// Different bodies.
inline constexpr size_t kChunkBodies = 8;
// A batch is closed by the chunk that goes over it, as that of a tracer.
inline constexpr size_t kBatchBytes = size_t{512} << 10;

struct ChunkBody {
  std::string bytes;
  uint64_t calls = 0;
};
std::vector<ChunkBody> MakeChunkBodies(size_t calls_per_chunk = kCallsPerChunk);

// Differs from run to run and from number to number.
ids::Ulid RecordingOf(uint32_t number);

struct PreparedBatch {
  // A SessionRequest.
  grpc::ByteBuffer frame;
  // Of the Batch in it: what credit counts.
  size_t batch_bytes = 0;
  uint64_t calls = 0;
};

// The first batch carries the recording, the last one its seal, the others its chunks, `calls` or a
// few more in all. One thread of one process; its ids are made from the recording.
std::vector<PreparedBatch> MakeBatches(const std::vector<ChunkBody>& bodies,
                                       const ids::Ulid& recording, uint64_t calls,
                                       uint64_t first_sequence = 1);

// One chunk of the recording's thread.
PreparedBatch MakeChunkBatch(const std::vector<ChunkBody>& bodies, const ids::Ulid& recording,
                             uint64_t ordinal, uint64_t sequence);

// The Hello that comes before them.
grpc::ByteBuffer MakeHello(const std::string& producer_id);

}  // namespace flightrec::load

#endif  // TESTS_LOAD_PREPARED_BATCHES_H_
