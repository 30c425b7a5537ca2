#include "tests/load/prepared_batches.h"

#include <unistd.h>

#include <chrono>
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

uint64_t ThreadOf(const ids::Ulid& recording) {
  uint64_t id;
  std::memcpy(&id, recording.bytes().data() + ids::Ulid::kBytes - sizeof(id), sizeof(id));
  return id + 1;
}

void AddRecording(const ids::Ulid& recording, trace::v1::RecordingState state,
                  ingest::v1::Batch& batch) {
  trace::v1::Recording& item = *batch.add_items()->mutable_recording();
  item.set_name(ids::RecordingResourceName(recording));
  item.set_state(state);
}

// `body` as chunk `ordinal` of the recording's thread.
std::string Stamp(const std::string& body, const ids::Ulid& recording, uint64_t ordinal) {
  std::string bytes = body;
  std::memcpy(bytes.data() + chunk::kOffsetRecording, recording.bytes().data(), ids::Ulid::kBytes);
  StoreU64(bytes, chunk::kOffsetProcessId, ThreadOf(recording));
  StoreU64(bytes, chunk::kOffsetThreadId, ThreadOf(recording));
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

std::vector<ChunkBody> MakeChunkBodies(size_t calls_per_chunk) {
  std::vector<ChunkBody> bodies;
  testing::SyntheticThread thread(1);
  // The first chunk of a thread is not typical: paths are still new.
  thread.Run(kCallsPerChunk);
  for (size_t i = 0; i < kChunkBodies; ++i) {
    const chunk::CallChunk chunk = testing::MakeCallChunk(thread.Run(calls_per_chunk), i);
    bodies.push_back({chunk::EncodeCallChunk(chunk).value(), chunk.calls.size()});
  }
  return bodies;
}

ids::Ulid RecordingOf(uint32_t number) {
  ids::Ulid::Bytes bytes{};
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const int64_t ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  for (size_t i = 0; i < 6; ++i) bytes[i] = static_cast<uint8_t>(ms >> (40 - 8 * i));
  const auto pid = static_cast<uint32_t>(getpid());
  std::memcpy(bytes.data() + 8, &pid, sizeof(pid));
  std::memcpy(bytes.data() + 12, &number, sizeof(number));
  return ids::Ulid(bytes);
}

std::vector<PreparedBatch> MakeBatches(const std::vector<ChunkBody>& bodies,
                                       const ids::Ulid& recording, uint64_t calls,
                                       uint64_t first_sequence) {
  std::vector<PreparedBatch> batches;
  ingest::v1::SessionRequest request;
  ingest::v1::Batch& batch = *request.mutable_batch();
  batch.set_sequence(first_sequence);
  AddRecording(recording, trace::v1::RECORDING_STATE_RECORDING, batch);
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
    batch.set_sequence(first_sequence + batches.size());
    made += batch_calls;
    batches.push_back(Seal(request, batch_calls));
  }
  batch.set_sequence(first_sequence + batches.size());
  AddRecording(recording, trace::v1::RECORDING_STATE_SEALED, batch);
  batches.push_back(Seal(request, 0));
  return batches;
}

PreparedBatch MakeChunkBatch(const std::vector<ChunkBody>& bodies, const ids::Ulid& recording,
                             uint64_t ordinal, uint64_t sequence) {
  const ChunkBody& body = bodies[ordinal % bodies.size()];
  ingest::v1::SessionRequest request;
  request.mutable_batch()->set_sequence(sequence);
  request.mutable_batch()->add_items()->mutable_chunk()->set_data(
      Stamp(body.bytes, recording, ordinal));
  return Seal(request, body.calls);
}

grpc::ByteBuffer MakeHello(const std::string& producer_id) {
  ingest::v1::SessionRequest request;
  request.mutable_hello()->set_producer_id(producer_id);
  request.mutable_hello()->set_producer_epoch(1);
  return ToFrame(request);
}

}  // namespace flightrec::load
