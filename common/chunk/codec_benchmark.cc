#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/chunk/builder.h"
#include "common/chunk/codec.h"
#include "common/chunk/format.h"
#include "common/testing/synthetic_calls.h"

namespace flightrec::chunk {
namespace {

CallChunk Chunk(size_t calls) {
  testing::SyntheticThread thread(1);
  // The first chunk of a thread is not typical: paths are still new.
  thread.Run(kMaxCallsPerChunk);
  return testing::MakeCallChunk(thread.Run(calls));
}

void ReportCalls(benchmark::State& state, size_t calls_per_iteration) {
  state.counters["calls/s"] = benchmark::Counter(
      static_cast<double>(calls_per_iteration) * static_cast<double>(state.iterations()),
      benchmark::Counter::kIsRate);
}

void BM_EncodeCallChunk(benchmark::State& state) {
  const CallChunk chunk = Chunk(static_cast<size_t>(state.range(0)));
  const int level = static_cast<int>(state.range(1));
  size_t bytes = 0;
  for (auto _ : state) {
    const absl::StatusOr<std::string> encoded = EncodeCallChunk(chunk, level);
    if (!encoded.ok()) {
      state.SkipWithError(std::string(encoded.status().message()).c_str());
      break;
    }
    bytes = encoded->size();
  }
  ReportCalls(state, chunk.calls.size());
  state.counters["bytes_per_call"] =
      static_cast<double>(bytes) / static_cast<double>(chunk.calls.size());
  state.counters["paths"] = static_cast<double>(chunk.paths.size());
}
BENCHMARK(BM_EncodeCallChunk)
    ->ArgNames({"calls", "level"})
    ->Args({1000, 1})
    ->Args({10000, 1})
    ->Args({60000, 1})
    ->Args({60000, 3});

void BM_BuildCallChunk(benchmark::State& state) {
  testing::SyntheticThread thread(1);
  thread.Run(kMaxCallsPerChunk);
  const std::vector<testing::EndedCall> calls = thread.Run(static_cast<size_t>(state.range(0)));
  CallChunkBuilder builder;
  for (auto _ : state) {
    for (const testing::EndedCall& ended : calls) builder.Add(ended.call, ended.function_id);
    const CallChunk chunk = builder.Build();
    benchmark::DoNotOptimize(chunk.calls.ordinal.data());
  }
  ReportCalls(state, calls.size());
}
BENCHMARK(BM_BuildCallChunk)->ArgNames({"calls"})->Args({1000})->Args({32000});

void BM_DecodeCallChunk(benchmark::State& state) {
  const CallChunk chunk = Chunk(static_cast<size_t>(state.range(0)));
  const absl::StatusOr<std::string> encoded = EncodeCallChunk(chunk);
  CallChunk decoded;
  for (auto _ : state) {
    const absl::Status status = DecodeCallChunkInto(*encoded, decoded);
    if (!status.ok()) {
      state.SkipWithError(std::string(status.message()).c_str());
      break;
    }
    benchmark::DoNotOptimize(decoded.calls.start_ticks.data());
  }
  ReportCalls(state, chunk.calls.size());
}
BENCHMARK(BM_DecodeCallChunk)->ArgNames({"calls"})->Args({1000})->Args({10000})->Args({60000});

}  // namespace
}  // namespace flightrec::chunk
