#include "services/backend/store/chunk_rollup.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/clock/calibration.h"

namespace flightrec::backend {
namespace {

constexpr unsigned kSubBucketBits = 6;

struct Sums {
  uint64_t calls = 0;
  uint64_t total_ns = 0;
};

struct FunctionSums : Sums {
  uint64_t min_ns = std::numeric_limits<uint64_t>::max();
  uint64_t max_ns = 0;
  uint64_t lost_calls = 0;
  absl::flat_hash_map<uint32_t, uint32_t> buckets;
};

// Adds up the calls of a chunk, by the index of their path.
class Summing {
 public:
  explicit Summing(const chunk::CallChunk& chunk) : chunk_(chunk), of_path_(chunk.paths.size()) {
    // Functions get a dense index, so that the loop over calls looks nothing up but buckets.
    absl::flat_hash_map<uint64_t, uint32_t> index_of;
    function_of_path_.reserve(chunk.paths.size());
    for (const chunk::PathEntry& path : chunk.paths) {
      const auto [it, added] =
          index_of.emplace(path.function_id, static_cast<uint32_t>(function_ids_.size()));
      if (added) function_ids_.push_back(path.function_id);
      function_of_path_.push_back(it->second);
    }
    for (const chunk::LostCalls& lost : chunk.lost_before) {
      const auto [it, added] =
          index_of.emplace(lost.function_id, static_cast<uint32_t>(function_ids_.size()));
      if (added) function_ids_.push_back(lost.function_id);
      lost_of_.emplace_back(it->second, lost.count);
    }
    of_function_.resize(function_ids_.size());
    for (const auto& [function, count] : lost_of_) of_function_[function].lost_calls += count;
    for (size_t i = 0; i < chunk.calls.size(); ++i) Add(i);
  }

  void Store(read::v1::ChunkRollup& rollup) {
    for (const uint32_t i :
         Order(function_ids_.size(), [this](uint32_t f) { return function_ids_[f]; })) {
      const FunctionSums& sums = of_function_[i];
      if (sums.calls == 0 && sums.lost_calls == 0) continue;
      read::v1::FunctionRollup& function = *rollup.add_functions();
      function.set_function_id(function_ids_[i]);
      function.set_calls(sums.calls);
      function.set_total_ns(sums.total_ns);
      function.set_min_ns(sums.calls == 0 ? 0 : sums.min_ns);
      function.set_max_ns(sums.max_ns);
      function.set_lost_calls(sums.lost_calls);
      std::vector<std::pair<uint32_t, uint32_t>> buckets(sums.buckets.begin(), sums.buckets.end());
      std::sort(buckets.begin(), buckets.end());
      for (const auto& [bucket, calls] : buckets) {
        function.add_buckets(bucket);
        function.add_bucket_calls(calls);
      }
    }
    for (const uint32_t i :
         Order(of_path_.size(), [this](uint32_t p) { return chunk_.paths[p].path_id; })) {
      if (of_path_[i].calls == 0) continue;
      read::v1::PathRollup& path = *rollup.add_paths();
      path.set_path_id(chunk_.paths[i].path_id);
      path.set_function_id(chunk_.paths[i].function_id);
      path.set_calls(of_path_[i].calls);
      path.set_total_ns(of_path_[i].total_ns);
    }
  }

 private:
  void Add(size_t call) {
    const clock::Calibration& calibration = chunk_.header.calibration;
    const uint64_t start = chunk_.calls.start_ticks[call];
    const auto duration = static_cast<uint64_t>(
        clock::ToEpochNs(calibration, start + chunk_.calls.duration_ticks[call]) -
        clock::ToEpochNs(calibration, start));
    const uint32_t path = chunk_.calls.path_index[call];
    ++of_path_[path].calls;
    of_path_[path].total_ns += duration;
    FunctionSums& function = of_function_[function_of_path_[path]];
    ++function.calls;
    function.total_ns += duration;
    function.min_ns = std::min(function.min_ns, duration);
    function.max_ns = std::max(function.max_ns, duration);
    ++function.buckets[HistogramBucket(duration)];
  }

  template <typename Key>
  static std::vector<uint32_t> Order(size_t count, const Key& key) {
    std::vector<uint32_t> order(count);
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(),
              [&key](uint32_t a, uint32_t b) { return key(a) < key(b); });
    return order;
  }

  const chunk::CallChunk& chunk_;
  std::vector<uint64_t> function_ids_;
  std::vector<uint32_t> function_of_path_;
  std::vector<std::pair<uint32_t, uint64_t>> lost_of_;
  std::vector<FunctionSums> of_function_;
  std::vector<Sums> of_path_;
};

}  // namespace

uint32_t HistogramBucket(uint64_t duration_ns) {
  constexpr uint64_t kSubBuckets = uint64_t{1} << kSubBucketBits;
  if (duration_ns < kSubBuckets) return static_cast<uint32_t>(duration_ns);
  const auto exponent = static_cast<uint32_t>(std::bit_width(duration_ns)) - (kSubBucketBits + 1);
  return static_cast<uint32_t>(kSubBuckets * exponent + (duration_ns >> exponent));
}

read::v1::ChunkRollup MakeChunkRollup(const chunk::CallChunk& chunk, uint64_t position) {
  const chunk::ChunkHeader& header = chunk.header;
  read::v1::ChunkRollup rollup;
  rollup.set_position(position);
  rollup.set_process_id(header.process_id);
  rollup.set_thread_id(header.thread_id);
  rollup.set_calls(header.call_count);
  if (header.call_count > 0) {
    rollup.set_start_ns(clock::ToEpochNs(header.calibration, header.min_start_ticks));
    rollup.set_end_ns(clock::ToEpochNs(header.calibration, header.max_end_ticks));
  }
  Summing(chunk).Store(rollup);
  return rollup;
}

}  // namespace flightrec::backend
