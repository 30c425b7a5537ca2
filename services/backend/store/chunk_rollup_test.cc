#include "services/backend/store/chunk_rollup.h"

#include <gtest/gtest.h>

#include <map>

#include "common/chunk/codec.h"
#include "common/clock/calibration.h"
#include "common/testing/synthetic_calls.h"

namespace flightrec::backend {
namespace {

// The smallest duration in a bucket, as read.proto says.
uint64_t LowerBound(uint32_t bucket) {
  if (bucket < 64) return bucket;
  return uint64_t{64 + bucket % 64} << (bucket / 64 - 1);
}

TEST(ChunkRollup, durations_at_the_borders__then_in_the_bucket_that_the_contract_says) {
  for (const uint64_t duration : {0ull, 1ull, 63ull, 64ull, 127ull, 128ull, 129ull, 130ull, 4095ull,
                                  4096ull, 123456789ull, 1ull << 40, ~0ull}) {
    const uint32_t bucket = HistogramBucket(duration);
    EXPECT_LE(LowerBound(bucket), duration);
    if (duration != ~0ull) {
      EXPECT_GT(LowerBound(bucket + 1), duration);
    }
  }
}

TEST(ChunkRollup, synthetic_calls__then_sums_are_those_of_the_calls) {
  const chunk::CallChunk chunk = testing::MakeCallChunk(testing::SyntheticThread(1).Run(20000));
  const read::v1::ChunkRollup rollup = MakeChunkRollup(chunk, 7);
  std::map<uint64_t, std::pair<uint64_t, uint64_t>> by_function;
  std::map<uint64_t, std::pair<uint64_t, uint64_t>> by_path;
  for (size_t i = 0; i < chunk.calls.size(); ++i) {
    const chunk::PathEntry& path = chunk.paths[chunk.calls.path_index[i]];
    const uint64_t start = chunk.calls.start_ticks[i];
    const auto ns = static_cast<uint64_t>(
        clock::ToEpochNs(chunk.header.calibration, start + chunk.calls.duration_ticks[i]) -
        clock::ToEpochNs(chunk.header.calibration, start));
    for (auto* sums : {&by_function[path.function_id], &by_path[path.path_id]}) {
      ++sums->first;
      sums->second += ns;
    }
  }
  EXPECT_EQ(rollup.position(), 7u);
  EXPECT_EQ(rollup.calls(), chunk.calls.size());
  ASSERT_EQ(static_cast<size_t>(rollup.functions_size()), by_function.size());
  auto expected = by_function.begin();
  for (const read::v1::FunctionRollup& function : rollup.functions()) {
    EXPECT_EQ(function.function_id(), expected->first);
    EXPECT_EQ(function.calls(), expected->second.first);
    EXPECT_EQ(function.total_ns(), expected->second.second);
    uint64_t in_buckets = 0;
    for (const uint32_t calls : function.bucket_calls()) in_buckets += calls;
    EXPECT_EQ(in_buckets, function.calls());
    EXPECT_EQ(function.buckets(0), HistogramBucket(function.min_ns()));
    EXPECT_EQ(function.buckets(function.buckets_size() - 1), HistogramBucket(function.max_ns()));
    ++expected;
  }
  ASSERT_EQ(static_cast<size_t>(rollup.paths_size()), by_path.size());
  expected = by_path.begin();
  for (const read::v1::PathRollup& path : rollup.paths()) {
    EXPECT_EQ(path.path_id(), expected->first);
    EXPECT_EQ(path.calls(), expected->second.first);
    EXPECT_EQ((expected++)->second.second, path.total_ns());
  }
}

TEST(ChunkRollup, function_lost_all_its_calls__then_it_is_counted_without_times) {
  chunk::CallChunk chunk;
  chunk.lost_before = {{42, 5}};
  const read::v1::ChunkRollup rollup = MakeChunkRollup(chunk, 1);
  ASSERT_EQ(rollup.functions_size(), 1);
  EXPECT_EQ(rollup.functions(0).function_id(), 42u);
  EXPECT_EQ(rollup.functions(0).lost_calls(), 5u);
  EXPECT_EQ(rollup.functions(0).calls(), 0u);
}

}  // namespace
}  // namespace flightrec::backend
