#include "services/flightrec/canary_recording.h"

#include <cstring>
#include <utility>

#include "common/chunk/builder.h"
#include "common/chunk/chunk.h"
#include "common/chunk/codec.h"
#include "common/ids/resource_name.h"
#include "common/path/path.h"

namespace flightrec::cli {
namespace {

constexpr uint64_t kOuterFunction = 1;
constexpr uint64_t kInnerFunction = 2;
constexpr uint64_t kNsPerTickQ32 = uint64_t{1} << 32;

// Differs between recordings; also the id of their process and thread.
uint64_t SeedOf(const ids::Ulid& recording) {
  uint64_t seed;
  std::memcpy(&seed, recording.bytes().data() + ids::Ulid::kBytes - sizeof(seed), sizeof(seed));
  return seed | 1;
}

// Numbers that look random and come out the same everywhere.
uint64_t Next(uint64_t& state) {
  state = state * 6364136223846793005u + 1442695040888963407u;
  return state >> 33;
}

absl::StatusOr<std::string> CanaryChunk(const ids::Ulid& recording, uint64_t ordinal) {
  const uint64_t seed = SeedOf(recording);
  const uint64_t outer = ExtendPath(kRootPath, kOuterFunction);
  const uint64_t inner = ExtendPath(outer, kInnerFunction);
  uint64_t state = seed + ordinal;
  uint64_t now = 1 + ordinal * (uint64_t{1} << 32);
  chunk::CallChunkBuilder builder;
  const uint64_t calls = ordinal == 0 ? kCanaryCallsOfFirst : kCanaryCallsOfOthers;
  const uint64_t before =
      ordinal == 0 ? 0 : kCanaryCallsOfFirst + (ordinal - 1) * kCanaryCallsOfOthers;
  for (uint64_t i = 0; i < calls; i += 2) {
    const uint64_t call = before + i + 1;
    const uint64_t duration = 10 + Next(state) % 1000;
    builder.Add({call + 1, inner, now + 5, duration}, kInnerFunction);
    builder.Add({call, outer, now, duration + 10}, kOuterFunction);
    now += duration + 20;
  }
  chunk::CallChunk chunk = builder.Build();
  chunk.header.recording = recording;
  chunk.header.process_id = seed;
  chunk.header.thread_id = seed;
  chunk.header.tid = 1;
  chunk.header.chunk_ordinal = ordinal;
  chunk.header.is_final = ordinal + 1 == kCanaryChunks;
  chunk.header.calibration.ref_ticks = 0;
  chunk.header.calibration.ref_epoch_ns = absl::ToUnixNanos(recording.time());
  chunk.header.calibration.ns_per_tick_q32 = kNsPerTickQ32;
  return chunk::EncodeCallChunk(chunk);
}

trace::v1::Recording CanaryState(const ids::Ulid& recording, trace::v1::RecordingState state) {
  trace::v1::Recording result;
  result.set_name(ids::RecordingResourceName(recording));
  result.set_state(state);
  result.add_command("flightrec");
  result.add_command("canary");
  (*result.mutable_labels())["flightrec"] = "canary";
  const int64_t ms = absl::ToUnixMillis(recording.time());
  result.mutable_start_time()->set_seconds(ms / 1000);
  if (state == trace::v1::RECORDING_STATE_SEALED) {
    result.mutable_end_time()->set_seconds(ms / 1000);
  }
  return result;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> CanaryChunks(const ids::Ulid& recording) {
  std::vector<std::string> chunks;
  for (uint64_t ordinal = 0; ordinal < kCanaryChunks; ++ordinal) {
    absl::StatusOr<std::string> chunk = CanaryChunk(recording, ordinal);
    if (!chunk.ok()) return chunk.status();
    chunks.push_back(*std::move(chunk));
  }
  return chunks;
}

absl::StatusOr<ingest::v1::Batch> CanaryBatch(const ids::Ulid& recording, uint64_t sequence) {
  absl::StatusOr<std::vector<std::string>> chunks = CanaryChunks(recording);
  if (!chunks.ok()) return chunks.status();
  const uint64_t id = SeedOf(recording);
  ingest::v1::Batch batch;
  batch.set_sequence(sequence);
  *batch.add_items()->mutable_recording() =
      CanaryState(recording, trace::v1::RECORDING_STATE_RECORDING);
  trace::v1::Process& process = *batch.add_items()->mutable_process();
  process.set_name(ids::ProcessResourceName(recording, id));
  process.set_process_id(id);
  trace::v1::Thread& thread = *batch.add_items()->mutable_thread();
  thread.set_name(ids::ThreadResourceName(recording, id, id));
  thread.set_process_id(id);
  thread.set_thread_id(id);
  ingest::v1::FunctionTable& table = *batch.add_items()->mutable_functions();
  table.set_recording(ids::RecordingResourceName(recording));
  for (const auto& [function, name] :
       {std::pair(kOuterFunction, "canary_outer"), std::pair(kInnerFunction, "canary_inner")}) {
    trace::v1::Function& entry = *table.add_functions();
    entry.set_function_id(function);
    entry.set_name(name);
  }
  for (std::string& chunk : *chunks) {
    batch.add_items()->mutable_chunk()->set_data(std::move(chunk));
  }
  *batch.add_items()->mutable_recording() =
      CanaryState(recording, trace::v1::RECORDING_STATE_SEALED);
  return batch;
}

}  // namespace flightrec::cli
