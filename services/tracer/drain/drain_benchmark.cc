#include <benchmark/benchmark.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/clock/clock.h"
#include "common/path/path.h"
#include "common/testing/synthetic_calls.h"
#include "services/tracer/drain/drain_loop.h"
#include "services/tracer/drain/thread_drain.h"
#include "services/tracer/lane/lane_file.h"
#include "services/tracer/lane/ring.h"

namespace flightrec::drain {
namespace {

constexpr uint64_t kCalls = 10'000'000;
constexpr size_t kPattern = 1 << 16;

class CountingSink final : public DrainSink {
 public:
  void OnThread(const DrainedThread&) override {}
  bool OnChunk(EncodedChunk) override { return true; }
  void OnFinalChunk(EncodedChunk) override {}
};

double CpuSeconds(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Records of a synthetic program, their function index being the position in `functions`.
std::vector<lane::CallRecord> Pattern(std::vector<ids::FunctionId>& functions) {
  std::vector<lane::CallRecord> records;
  for (const testing::EndedCall& ended : testing::SyntheticThread(1).Run(kPattern)) {
    const uint64_t end = ended.call.start_ticks + ended.call.duration_ticks;
    const auto known = std::find(functions.begin(), functions.end(), ended.function_id);
    const auto index = static_cast<uint32_t>(known - functions.begin());
    if (known == functions.end()) functions.push_back(ended.function_id);
    records.push_back({ended.call.start_ticks, end, ended.call.path_id, index,
                       static_cast<uint32_t>(ended.call.ordinal)});
  }
  return records;
}

// Records of a loop that calls one function, as an idle machine times it.
std::vector<lane::CallRecord> LoopPattern(std::vector<ids::FunctionId>& functions) {
  functions.push_back(1);
  std::mt19937_64 random(1);
  std::vector<lane::CallRecord> records;
  uint64_t now = 1000;
  for (uint32_t i = 0; i < kPattern; ++i) {
    const uint64_t start = now + 40 + random() % 16;
    now = start + 36 + random() % 8 + (random() % 4096 == 0 ? 3000 : 0);
    records.push_back({start, now, ExtendPath(kRootPath, 1), 0, i + 1});
  }
  return records;
}

// What a call costs between the lane and the sink. Argument: whether the program is a loop around
// one function, or the synthetic one.
void BM_ThreadDrain(benchmark::State& state) {
  ProcessIdentity process;
  std::vector<lane::CallRecord> records =
      state.range(0) != 0 ? LoopPattern(process.functions) : Pattern(process.functions);
  ThreadDrain drain(process, {.thread_id = 1, .tid = 1, .ordinal = 1});
  constexpr size_t kChunk = 32768;
  constexpr size_t kStep = 256;
  size_t at = 0;
  uint64_t bytes = 0;
  uint64_t calls = 0;
  for (auto _ : state) {
    for (size_t i = 0; i < kChunk; i += kStep) {
      drain.Add(absl::MakeConstSpan(records).subspan(at + i, kStep), absl::ZeroDuration());
    }
    const absl::optional<EncodedChunk> chunk = drain.Seal(chunk::kDefaultCompressionLevel);
    bytes += chunk->bytes.size();
    calls += chunk->calls;
    at = (at + kChunk) % kPattern;
  }
  state.counters["ns_per_call"] = benchmark::Counter(
      static_cast<double>(calls) * 1e-9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
  state.counters["bytes_per_call"] = static_cast<double>(bytes) / static_cast<double>(calls);
}
BENCHMARK(BM_ThreadDrain)->ArgNames({"loop"})->Arg(0)->Arg(1);

// Writes kCalls records, `per_second` of them, in steps of 64. Returns those that found no room.
uint64_t Produce(const lane::Ring& ring, const std::vector<lane::CallRecord>& pattern,
                 uint64_t per_second) {
  uint64_t reserved = ring.control->head;
  uint64_t limit = lane::WriteLimit(ring);
  uint64_t lost = 0;
  const int64_t begin = absl::ToInt64Nanoseconds(clock::RealClock().Monotonic());
  for (uint64_t i = 0; i < kCalls; ++i) {
    if (i % 64 == 0) {
      const int64_t due = begin + static_cast<int64_t>(i * 1'000'000'000 / per_second);
      while (absl::ToInt64Nanoseconds(clock::RealClock().Monotonic()) < due) {
      }
    }
    lane::CallRecord record = pattern[i % kPattern];
    const uint64_t round = i / kPattern;
    record.ordinal_low += static_cast<uint32_t>(round * kPattern);
    record.start_ticks += round << 32;
    record.end_ticks += round << 32;
    uint64_t noted = 0;
    if (lane::Publish(ring, &reserved, limit, &noted, record)) continue;
    limit = lane::WriteLimit(ring);
    if (!lane::Publish(ring, &reserved, limit, &noted, record)) ++lost;
  }
  return lost;
}

void BM_DrainPacedThread(benchmark::State& state) {
  const auto per_second = static_cast<uint64_t>(state.range(0)) * 1'000'000;
  ProcessIdentity process;
  const std::vector<lane::CallRecord> pattern = Pattern(process.functions);
  const std::string path = absl::StrCat("/dev/shm/drain_benchmark.", getpid());
  for (auto _ : state) {
    auto file = lane::LaneFile::Create(path, {1, 1 << 20, 128},
                                       static_cast<uint32_t>(process.functions.size()), {});
    if (!file.ok()) {
      state.SkipWithError(std::string(file.status().message()).c_str());
      return;
    }
    lane::LaneReader reader(**file);
    (*file)->control(0).state = lane::kActive;
    CountingSink sink;
    DrainLoop loop(
        reader, process, {}, clock::RealClock(),
        [](const std::vector<lane::LaneThread>&) { return std::vector<uint64_t>(); }, sink);
    loop.Start();
    uint64_t lost = 0;
    double producer_cpu = 0;
    const double cpu_before = CpuSeconds(CLOCK_PROCESS_CPUTIME_ID);
    std::thread producer([&] {
      lost = Produce((*file)->ring(0), pattern, per_second);
      producer_cpu = CpuSeconds(CLOCK_THREAD_CPUTIME_ID);
    });
    producer.join();
    const DrainTotals totals = loop.Finish();
    const double drain_cpu = CpuSeconds(CLOCK_PROCESS_CPUTIME_ID) - cpu_before - producer_cpu;
    state.counters["lost_share"] = static_cast<double>(lost) / static_cast<double>(kCalls);
    state.counters["bytes_per_call"] =
        static_cast<double>(totals.chunk_bytes) / static_cast<double>(totals.calls);
    state.counters["drain_ns_per_call"] = 1e9 * drain_cpu / static_cast<double>(totals.calls);
    if (!(*file)->Remove().ok()) state.SkipWithError("the lane file cannot be removed");
  }
}
BENCHMARK(BM_DrainPacedThread)
    ->ArgNames({"million_per_s"})
    ->Arg(1)
    ->Arg(5)
    ->Arg(10)
    ->Arg(20)
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

}  // namespace
}  // namespace flightrec::drain
