#include "tests/load/prepared_batches.h"

#include <cstring>
#include <utility>

#include "common/chunk/codec.h"
#include "common/chunk/crc32c.h"
#include "common/chunk/format.h"
#include "common/ids/resource_name.h"
#include "common/testing/synthetic_calls.h"
#include "flightrec/ingest/v1/ingest.pb.h"

namespace flightrec::load {
namespace {

void StoreU64(std::string& bytes, size_t offset, uint64_t value) {
  std::memcpy(bytes.data() + offset, &value, sizeof(value));
}

// `body` as chunk `ordinal` of the recording's thread.
std::string Stamp(const std::string& body, const ids::Ulid& recording, uint64_t ordinal) {
  std::string bytes = body;
  std::memcpy(bytes.data() + chunk::kOffsetRecording, recording.bytes().data(), ids::Ulid::kBytes);
  StoreU64(bytes, chunk::kOffsetProcessId, recording.bytes().back() + 1u);
  StoreU64(bytes, chunk::kOffsetThreadId, recording.bytes().back() + 1u);
  StoreU64(bytes, chunk::kOffsetChunkOrdinal, ordinal);
  const absl::string_view all = bytes;
  const uint32_t checksum =
      chunk::ExtendCrc32c(chunk::Crc32c(all.substr(0, chunk::kOffsetChecksum)),
                          all.substr(chunk::kOffsetChecksum + sizeof(uint32_t)));
  std::memcpy(bytes.data() + chunk::kOffsetChecksum, &checksum, sizeof(checksum));
  return bytes;
}

grpc::ByteBuffer ToFrame(const ingest::v1::SessionRequest& request) {
  std::string bytes = request.SerializeAsString();
  grpc::Slice slice(bytes);
  return grpc::ByteBuffer(&slice, 1);
}

PreparedBatch Seal(ingest::v1::SessionRequest& request, uint64_t calls) {
  PreparedBatch prepared{ToFrame(request), request.batch().ByteSizeLong(), calls};
  request.mutable_batch()->clear_items();
  return prepared;
}

}  // namespace

std::vector<ChunkBody> MakeChunkBodies() {
  std::vector<ChunkBody> bodies;
  testing::SyntheticThread thread(1);
  // The first chunk of a thread is not typical: paths are still new.
  thread.Run(kCallsPerChunk);
  for (size_t i = 0; i < kChunkBodies; ++i) {
    const chunk::CallChunk chunk = testing::MakeCallChunk(thread.Run(kCallsPerChunk), i);
    bodies.push_back({chunk::EncodeCallChunk(chunk).value(), chunk.calls.size()});
  }
  return bodies;
}

std::vector<PreparedBatch> MakeBatches(const std::vector<ChunkBody>& bodies,
                                       const ids::Ulid& recording, uint64_t calls) {
  std::vector<PreparedBatch> batches;
  ingest::v1::SessionRequest request;
  ingest::v1::Batch& batch = *request.mutable_batch();
  batch.set_sequence(1);
  trace::v1::Recording& first = *batch.add_items()->mutable_recording();
  first.set_name(ids::RecordingResourceName(recording));
  first.set_state(trace::v1::RECORDING_STATE_RECORDING);
  batches.push_back(Seal(request, 0));

  uint64_t made = 0;
  for (uint64_t ordinal = 0; made < calls;) {
    uint64_t batch_calls = 0;
    for (size_t bytes = 0; bytes < kBatchBytes && made + batch_calls < calls; ++ordinal) {
      const ChunkBody& body = bodies[ordinal % bodies.size()];
      std::string stamped = Stamp(body.bytes, recording, ordinal);
      bytes += stamped.size();
      batch_calls += body.calls;
      batch.add_items()->mutable_chunk()->set_data(std::move(stamped));
    }
    batch.set_sequence(batches.size() + 1);
    made += batch_calls;
    batches.push_back(Seal(request, batch_calls));
  }
  return batches;
}

grpc::ByteBuffer MakeHello(const std::string& producer_id) {
  ingest::v1::SessionRequest request;
  request.mutable_hello()->set_producer_id(producer_id);
  request.mutable_hello()->set_producer_epoch(1);
  return ToFrame(request);
}

}  // namespace flightrec::load
