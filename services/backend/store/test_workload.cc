#include "services/backend/store/test_workload.h"

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/ids/resource_name.h"
#include "services/backend/store/keys.h"
#include "services/backend/store/test_items.h"

namespace flightrec::backend {
namespace {

// Large enough for blob files.
constexpr size_t kCalls = 500;

std::string RecordingProblem(BlockingStore& store, uint64_t first, uint64_t last) {
  const ids::Ulid id = WorkloadRecording(first);
  const std::string name = ids::RecordingResourceName(id);
  const absl::StatusOr<trace::v1::Recording> recording =
      store.store().GetRecording(kDefaultTenant, id);
  if (!recording.ok()) return recording.status().ToString();
  if (recording->state() != WorkloadState(last).state()) return name + " has another state";
  ChunkQuery query;
  query.tenant = kDefaultTenant;
  query.recording = id;
  const absl::StatusOr<std::vector<StoredChunk>> chunks = store.ReadAll(query);
  if (!chunks.ok()) return chunks.status().ToString();
  if (chunks->size() != last - first + 1) {
    return absl::StrCat(name, " has ", chunks->size(), " chunks, not ", last - first + 1);
  }
  for (uint64_t sequence = first; sequence <= last; ++sequence) {
    if ((*chunks)[sequence - first].data != WorkloadChunk(sequence)) {
      return absl::StrCat("chunk of sequence ", sequence, " is altered");
    }
  }
  return "";
}

}  // namespace

ids::Ulid WorkloadRecording(uint64_t sequence) {
  ids::Ulid::Bytes bytes{};
  bytes[0] = 1;
  const uint64_t number = (sequence - 1) / kBatchesPerRecording;
  for (size_t i = 0; i < 4; ++i) bytes[15 - i] = static_cast<uint8_t>(number >> (8 * i));
  return ids::Ulid(bytes);
}

std::string WorkloadChunk(uint64_t sequence) {
  return TestChunk(WorkloadRecording(sequence), (sequence - 1) % kBatchesPerRecording, kTestThread,
                   sequence, kCalls);
}

trace::v1::Recording WorkloadState(uint64_t sequence) {
  return TestRecording(WorkloadRecording(sequence), sequence % kBatchesPerRecording == 0
                                                        ? trace::v1::RECORDING_STATE_SEALED
                                                        : trace::v1::RECORDING_STATE_RECORDING);
}

Batch WorkloadBatch(uint64_t sequence) {
  const ids::Ulid id = WorkloadRecording(sequence);
  const bool last = sequence % kBatchesPerRecording == 0;
  std::vector<Item> items = {RecordingItem{id, TestRecording(id)},
                             TestChunkItem(WorkloadChunk(sequence))};
  if (last) items.push_back(RecordingItem{id, WorkloadState(sequence)});
  return TestBatch(sequence, std::move(items));
}

DatabaseOptions SmallFiles() {
  DatabaseOptions options;
  options.memtable_bytes = size_t{256} << 10;
  options.chunk_memtable_bytes = size_t{64} << 10;
  options.blob_file_bytes = uint64_t{64} << 10;
  return options;
}

uint64_t CommitWorkload(BlockingStore& store, uint64_t next, uint64_t last) {
  for (; next <= last; ++next) {
    const absl::StatusOr<BatchResult> result = store.Commit(WorkloadBatch(next));
    if (!result.ok() || result->refusal.has_value()) break;
  }
  return next - 1;
}

WorkloadReading ReadWorkload(BlockingStore& store, uint64_t acknowledged) {
  WorkloadReading reading;
  const absl::StatusOr<uint64_t> durable = store.OpenProducer();
  if (!durable.ok()) {
    reading.reported = durable.status().ToString();
    return reading;
  }
  reading.durable_sequence = *durable;
  if (*durable < acknowledged) {
    reading.problem =
        absl::StrCat("sequence ", *durable, " is durable, ", acknowledged, " was acknowledged");
  }
  for (uint64_t first = 1; first <= *durable; first += kBatchesPerRecording) {
    const uint64_t last = std::min(*durable, first + kBatchesPerRecording - 1);
    const std::string problem = RecordingProblem(store, first, last);
    if (problem.empty()) continue;
    (problem.find("DATA_LOSS") == std::string::npos ? reading.problem : reading.reported) = problem;
  }
  return reading;
}

}  // namespace flightrec::backend
