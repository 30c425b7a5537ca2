#include "services/backend/store/test_items.h"

#include <utility>

#include "common/chunk/codec.h"
#include "common/ids/resource_name.h"
#include "common/testing/synthetic_calls.h"
#include "services/backend/store/keys.h"

namespace flightrec::backend {
ids::Ulid TestRecordingId(uint8_t number) {
  ids::Ulid::Bytes bytes{};
  bytes[0] = 1;
  bytes.back() = number;
  return ids::Ulid(bytes);
}

trace::v1::Recording TestRecording(const ids::Ulid& id, trace::v1::RecordingState state) {
  trace::v1::Recording recording;
  recording.set_name(ids::RecordingResourceName(id));
  recording.set_state(state);
  return recording;
}

trace::v1::Process TestProcess(const ids::Ulid& recording, uint64_t process) {
  trace::v1::Process result;
  result.set_name(ids::ProcessResourceName(recording, process));
  result.set_process_id(process);
  return result;
}

trace::v1::Thread TestThread(const ids::Ulid& recording, uint64_t thread) {
  trace::v1::Thread result;
  result.set_name(ids::ThreadResourceName(recording, kTestProcess, thread));
  result.set_process_id(kTestProcess);
  result.set_thread_id(thread);
  return result;
}

std::string TestChunk(const ids::Ulid& recording, uint64_t chunk_ordinal, uint64_t thread,
                      uint64_t seed, size_t calls) {
  chunk::CallChunk call_chunk =
      testing::MakeCallChunk(testing::SyntheticThread(seed).Run(calls), chunk_ordinal);
  call_chunk.header.recording = recording;
  call_chunk.header.process_id = kTestProcess;
  call_chunk.header.thread_id = thread;
  return chunk::EncodeCallChunk(call_chunk).value();
}

ChunkItem TestChunkItem(const std::string& chunk) {
  return {chunk::DecodeHeader(chunk).value(), chunk};
}

Batch TestBatch(uint64_t sequence, std::vector<Item> items, absl::string_view producer,
                uint64_t epoch) {
  Batch batch;
  batch.producer = {kDefaultTenant, std::string(producer), epoch};
  batch.sequence = sequence;
  batch.items = std::move(items);
  return batch;
}

}  // namespace flightrec::backend
