#include "common/chunk/builder.h"

#include <gtest/gtest.h>

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

TEST(Builder, after_build__starts_empty) {
  CallChunkBuilder builder;
  builder.Add({.ordinal = 2, .path_id = kOuter, .start_ticks = 20, .duration_ticks = 5}, 1);
  builder.Build();
  const CallChunk chunk = builder.Build();
  EXPECT_EQ(chunk, CallChunk{});
}

}  // namespace
}  // namespace flightrec::chunk
