// How fast chunks become rows: from bytes as the backend gives them to tables
// with their sums.
#include <benchmark/benchmark.h>

#include <memory>
#include <string>
#include <vector>

#include "common/chunk/codec.h"
#include "common/testing/synthetic_calls.h"
#include "services/query_engine/engine/database.h"
#include "services/query_engine/load/recording_loader.h"

namespace flightrec::query_engine {
namespace {

constexpr size_t kCallsPerChunk = 32000;

std::vector<std::string> MakeChunks(size_t calls) {
  testing::SyntheticThread thread(1);
  std::vector<std::string> chunks;
  for (size_t i = 0; i * kCallsPerChunk < calls; ++i) {
    chunks.push_back(
        *chunk::EncodeCallChunk(testing::MakeCallChunk(thread.Run(kCallsPerChunk), i)));
  }
  return chunks;
}

absl::Status Load(const std::vector<std::string>& chunks, Database& database, size_t& calls) {
  const std::unique_ptr<RecordingLoader> loader = *RecordingLoader::Create(database);
  chunk::CallChunk chunk;
  for (const std::string& bytes : chunks) {
    absl::Status status = chunk::DecodeCallChunkInto(bytes, chunk);
    if (status.ok()) status = loader->AddChunk(chunk);
    if (!status.ok()) return status;
    calls += chunk.calls.size();
  }
  return loader->Finish(trace::v1::Recording()).status();
}

void BM_LoadRecording(benchmark::State& state) {
  const std::vector<std::string> chunks = MakeChunks(static_cast<size_t>(state.range(0)));
  size_t calls = 0;
  for (auto _ : state) {
    const std::unique_ptr<Database> database = *Database::Open({});
    const absl::Status status = Load(chunks, *database, calls);
    if (!status.ok()) {
      state.SkipWithError(std::string(status.message()).c_str());
      break;
    }
  }
  state.counters["calls_per_s"] =
      benchmark::Counter(static_cast<double>(calls), benchmark::Counter::kIsRate);
}
BENCHMARK(BM_LoadRecording)
    ->Arg(100'000)
    ->Arg(1'000'000)
    ->Arg(5'000'000)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace flightrec::query_engine
