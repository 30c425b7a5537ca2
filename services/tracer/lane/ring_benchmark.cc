#include <benchmark/benchmark.h>
#include <pthread.h>
#include <unistd.h>
#include <x86intrin.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "services/tracer/lane/lane_file.h"
#include "services/tracer/lane/lane_reader.h"
#include "services/tracer/lane/layout.h"
#include "services/tracer/lane/ring.h"

namespace flightrec::lane {
namespace {

constexpr uint64_t kRecords = 20'000'000;
constexpr uint64_t kBatches = 100'000;
constexpr size_t kBatchRecords = 64;
constexpr uint32_t kRingBytes = 1u << 20;

// Producer and consumer each have a processor: two that poll on one take turns by time slices.
void Separate(std::thread& producer) {
  const pthread_t threads[] = {producer.native_handle(), pthread_self()};
  for (size_t i = 0; i < 2; ++i) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(i, &set);
    // On one processor the figures are bad and say so.
    static_cast<void>(pthread_setaffinity_np(threads[i], sizeof(set), &set));
  }
}

// A lane as the tracer makes it, with one thread in it.
class OneLane {
 public:
  OneLane() {
    auto file = LaneFile::Create(absl::StrCat("/dev/shm/ring_benchmark.", getpid()),
                                 {1, kRingBytes, kMinShadowEntries}, 1, {});
    if (!file.ok()) return;
    file_ = *std::move(file);
    reader_ = std::make_unique<LaneReader>(*file_);
    // The agent has the memory of a ring before it writes.
    const Ring ring = file_->ring(0);
    std::fill_n(ring.bytes, ring.size, static_cast<unsigned char>(0));
  }
  ~OneLane() {
    if (file_ != nullptr) file_->Remove().IgnoreError();
  }
  OneLane(const OneLane&) = delete;
  OneLane& operator=(const OneLane&) = delete;

  bool ok() const { return file_ != nullptr; }
  Ring ring() const { return file_->ring(0); }
  LaneReader& reader() { return *reader_; }

 private:
  std::unique_ptr<LaneFile> file_;
  std::unique_ptr<LaneReader> reader_;
};

// The producing end, as the agent has it.
class Writer {
 public:
  explicit Writer(const Ring& ring) : ring_(ring), limit_(WriteLimit(ring)) {}

  // Waits for room, which the agent never does: every record arrives.
  void Write(const CallRecord& record) {
    while (!Publish(ring_, &reserved_, limit_, &noted_, record)) limit_ = WriteLimit(ring_);
  }
  bool AllTaken() const { return WriteLimit(ring_) == reserved_ + ring_.size; }

 private:
  const Ring ring_;
  uint64_t limit_;
  uint64_t reserved_ = 0;
  uint64_t noted_ = 0;
};

void BM_SaturatedLane(benchmark::State& state) {
  std::vector<CallRecord> buffer(256);
  for (auto _ : state) {
    OneLane lane;
    if (!lane.ok()) return state.SkipWithError("no lane file in /dev/shm");
    std::thread producer([&] {
      Writer writer(lane.ring());
      for (uint64_t i = 0; i < kRecords; ++i) writer.Write({i, i + 1, i, 0, 0});
    });
    Separate(producer);
    for (uint64_t next = 0; next < kRecords;) {
      const size_t count = lane.reader().Drain(0, absl::MakeSpan(buffer));
      for (size_t i = 0; i < count; ++i) {
        if (buffer[i].start_ticks != next++) state.SkipWithError("a record is missing");
      }
    }
    producer.join();
  }
  state.counters["records_per_s"] =
      benchmark::Counter(static_cast<double>(kRecords) * static_cast<double>(state.iterations()),
                         benchmark::Counter::kIsRate);
}
BENCHMARK(BM_SaturatedLane)->Iterations(1)->UseRealTime()->Unit(benchmark::kMillisecond);

double Percentile(std::vector<uint64_t>& values, double share) {
  const auto rank = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + rank, values.end());
  return static_cast<double>(values[static_cast<size_t>(rank)]);
}

struct Latencies {
  std::vector<uint64_t> batch;       // ticks from the start of a batch until all of it is here
  std::vector<uint64_t> visibility;  // ticks from before a record is written until it is here
};

Latencies Receive(LaneReader& reader) {
  Latencies latencies;
  std::vector<CallRecord> buffer(kBatchRecords);
  size_t in_batch = 0;
  while (latencies.batch.size() < kBatches) {
    const size_t count = reader.Drain(0, absl::MakeSpan(buffer));
    if (count == 0) continue;
    const uint64_t now = __rdtsc();
    latencies.visibility.push_back(now - buffer[count - 1].end_ticks);
    in_batch += count;
    if (in_batch < kBatchRecords) continue;
    latencies.batch.push_back(now - buffer[count - 1].start_ticks);
    in_batch = 0;
  }
  return latencies;
}

void SendBatches(const Ring& ring) {
  Writer writer(ring);
  for (uint64_t batch = 0; batch < kBatches; ++batch) {
    const uint64_t begin = __rdtsc();
    for (size_t i = 0; i < kBatchRecords; ++i) writer.Write({begin, __rdtsc(), batch, 0, 0});
    while (!writer.AllTaken()) {
    }
  }
}

// Batches of kBatchRecords, each timed by its producer and taken by a consumer that polls.
void BM_Handover(benchmark::State& state) {
  for (auto _ : state) {
    OneLane lane;
    if (!lane.ok()) return state.SkipWithError("no lane file in /dev/shm");
    const auto begin = std::chrono::steady_clock::now();
    const uint64_t begin_ticks = __rdtsc();
    std::thread producer([&] { SendBatches(lane.ring()); });
    Separate(producer);
    Latencies latencies = Receive(lane.reader());
    producer.join();
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
    const double ns_per_tick = took.count() / static_cast<double>(__rdtsc() - begin_ticks);
    const double per_record = ns_per_tick / kBatchRecords;
    state.counters["handover_p50_ns"] = per_record * Percentile(latencies.batch, 0.5);
    state.counters["handover_p99_ns"] = per_record * Percentile(latencies.batch, 0.99);
    state.counters["visibility_p50_ns"] = ns_per_tick * Percentile(latencies.visibility, 0.5);
    state.counters["visibility_p99_ns"] = ns_per_tick * Percentile(latencies.visibility, 0.99);
  }
}
BENCHMARK(BM_Handover)->Iterations(1)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace flightrec::lane
