#include "common/chunk/builder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <random>
#include <vector>

#include "common/path/path.h"

namespace flightrec::chunk {
namespace {

const uint64_t kOuter = ExtendPath(kRootPath, 1);
const uint64_t kInner = ExtendPath(kOuter, 2);

TEST(Builder, calls_in_order_of_exit__come_out_in_order_of_entry) {
  CallChunkBuilder builder;
  builder.Add({.ordinal = 2, .path_id = kInner, .start_ticks = 20, .duration_ticks = 5}, 2);
  builder.Add({.ordinal = 1, .path_id = kOuter, .start_ticks = 10, .duration_ticks = 40}, 1);
  const CallChunk chunk = builder.Build();
  EXPECT_EQ(chunk.calls.ordinal, (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(chunk.calls.path_index, (std::vector<uint32_t>{0, 1}));
  EXPECT_EQ(chunk.paths, (std::vector<PathEntry>{{kOuter, 1}, {kInner, 2}}));
  EXPECT_EQ(chunk.header.call_count, 2u);
  EXPECT_EQ(chunk.header.min_start_ticks, 10u);
  EXPECT_EQ(chunk.header.max_end_ticks, 50u);
  EXPECT_EQ(chunk.header.max_ordinal, 2u);
}

TEST(Builder, same_ordinal_twice__keeps_the_first) {
  CallChunkBuilder builder;
  builder.Add({.ordinal = 2, .path_id = kOuter, .start_ticks = 20, .duration_ticks = 5}, 1);
  builder.Add({.ordinal = 2, .path_id = kOuter, .start_ticks = 21, .duration_ticks = 6}, 1);
  EXPECT_EQ(builder.Build().calls.start_ticks, std::vector<uint64_t>{20});
}

TEST(Builder, call_that_was_open_for_long__comes_first) {
  CallChunkBuilder builder;
  for (const uint64_t ordinal : {1'000'001, 1'000'000, 3, 1'000'002, 2, 3}) {
    builder.Add({.ordinal = ordinal, .path_id = kOuter}, 1);
  }
  EXPECT_EQ(builder.Build().calls.ordinal,
            (std::vector<uint64_t>{2, 3, 1'000'000, 1'000'001, 1'000'002}));
}

TEST(Builder, one_ordinal_twice_and_one_missing__keeps_what_there_is) {
  CallChunkBuilder builder;
  for (const uint64_t ordinal : {1, 2, 2, 4}) builder.Add({.ordinal = ordinal, .path_id = 7}, 1);
  EXPECT_EQ(builder.Build().calls.ordinal, (std::vector<uint64_t>{1, 2, 4}));
}

TEST(Builder, calls_far_apart__come_out_sorted) {
  CallChunkBuilder builder;
  for (const uint64_t ordinal : {5'000, 9'000'000, 4, 5'001, 9'000'000, 8'000'000, 100'000}) {
    builder.Add({.ordinal = ordinal, .path_id = ordinal}, 1);
  }
  const CallChunk chunk = builder.Build();
  EXPECT_EQ(chunk.calls.ordinal,
            (std::vector<uint64_t>{4, 5'000, 5'001, 100'000, 8'000'000, 9'000'000}));
  for (size_t i = 0; i < chunk.calls.size(); ++i) {
    EXPECT_EQ(chunk.paths[chunk.calls.path_index[i]].path_id, chunk.calls.ordinal[i]);
  }
}

TEST(Builder, calls_in_a_shuffled_order__come_out_sorted_with_their_rows) {
  std::mt19937_64 random(1);
  std::vector<uint64_t> ordinals(5000);
  std::iota(ordinals.begin(), ordinals.end(), 1);
  std::shuffle(ordinals.begin(), ordinals.end(), random);
  CallChunkBuilder builder;
  for (const uint64_t ordinal : ordinals) {
    builder.Add({.ordinal = ordinal, .path_id = ordinal % 9, .start_ticks = 2 * ordinal}, 1);
  }
  const CallChunk chunk = builder.Build();
  ASSERT_EQ(chunk.calls.size(), ordinals.size());
  for (uint64_t i = 0; i < ordinals.size(); ++i) {
    ASSERT_EQ(chunk.calls.ordinal[i], i + 1);
    ASSERT_EQ(chunk.calls.start_ticks[i], 2 * (i + 1));
    ASSERT_EQ(chunk.paths[chunk.calls.path_index[i]].path_id, (i + 1) % 9);
  }
}

TEST(Builder, after_build__starts_empty) {
  CallChunkBuilder builder;
  builder.Add({.ordinal = 2, .path_id = kOuter, .start_ticks = 20, .duration_ticks = 5}, 1);
  builder.Build();
  const CallChunk chunk = builder.Build();
  EXPECT_EQ(chunk, CallChunk{});
}

}  // namespace
}  // namespace flightrec::chunk
