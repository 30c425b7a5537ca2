// What the filters and the coarse clock leave in the lanes.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "services/tracer/lane/clock_publisher.h"
#include "services/tracer/target/launched_program.h"
#include "services/tracer/target/traced_process.h"

namespace flightrec::target {
namespace {

constexpr char kKnownCounts[] = "services/tracer/target/testdata/known_counts";
constexpr char kControlFlow[] = "services/tracer/target/testdata/control_flow";
constexpr uint64_t kForever = uint64_t{1} << 60;

TEST(MinDuration, longer_than_the_program__then_every_call_is_counted_and_none_recorded) {
  LaunchedProgram program(kKnownCounts);
  program.options().filter.min_duration_ticks = kForever;
  ASSERT_TRUE(program.Start({}));
  EXPECT_EQ(program.RunToEnd().exit_code, 7);
  EXPECT_EQ(program.records().size(), 0u);
  const std::pair<const char*, uint64_t> expected[] = {
      {"Leaf", 4 * 1009}, {"Recurse", 4 * 101}, {"Rethrow", 4},      {"Construct", 8},
      {"Sum", 4},         {"TailTarget", 4},    {"ThrowAtDepth", 20}};
  for (const auto& [symbol, calls] : expected) {
    EXPECT_EQ(program.counts(symbol).filtered, calls) << symbol;
    EXPECT_EQ(program.counts(symbol).total(), calls) << symbol;
  }
}

TEST(MinDuration, some_calls_are_shorter__then_they_are_left_out_and_counts_stay_exact) {
  constexpr uint64_t kShortest = 20'000;
  LaunchedProgram program(kControlFlow);
  program.options().limits.ring_bytes = 8u << 20;
  program.options().filter.min_duration_ticks = kShortest;
  ASSERT_TRUE(program.Start({"loop"}));
  EXPECT_EQ(program.RunToEnd().exit_code, 0);
  EXPECT_GT(program.counts("Leaf").filtered, 90'000u);
  EXPECT_EQ(program.counts("Leaf").total(), 100'000u);
  EXPECT_EQ(program.counts("main").recorded, 1u);
  for (const lane::CallRecord& record : program.records()) {
    EXPECT_GE(record.end_ticks - record.start_ticks, kShortest);
  }
}

TEST(MaxDepth, deeper_calls__then_passed_through_and_counted_as_filtered) {
  LaunchedProgram program(kControlFlow);
  program.options().filter.max_depth = 10;
  ASSERT_TRUE(program.Start({"depth"}));
  EXPECT_EQ(program.RunToEnd().exit_code, 0);
  // main and Depth are around the first of 1000.
  EXPECT_EQ(program.counts("main").recorded, 1u);
  EXPECT_EQ(program.counts("Deep").recorded, 8u);
  EXPECT_EQ(program.counts("Deep").filtered, 992u);
  EXPECT_EQ(program.counts("Deep").dropped, 0u);
}

TEST(MaxDepth, one__then_the_outermost_calls_of_each_thread_are_recorded) {
  LaunchedProgram program(kKnownCounts);
  program.options().filter.max_depth = 1;
  ASSERT_TRUE(program.Start({}));
  EXPECT_EQ(program.RunToEnd().exit_code, 7);
  EXPECT_EQ(program.counts("main").recorded, 1u);
  // Each of the four threads has an outermost call too, of the library's.
  EXPECT_GT(program.records().size(), 4u);
  EXPECT_EQ(program.counts("Worker").filtered, 4u);
  EXPECT_EQ(program.counts("Leaf").filtered, 4u * 1009);
}

TEST(MaxDepth, beyond_the_shadow_stack__then_too_deep_calls_are_lost_and_not_filtered) {
  LaunchedProgram program(kControlFlow);
  program.options().limits.shadow_entries = 128;
  program.options().filter.max_depth = 500;
  ASSERT_TRUE(program.Start({"depth"}));
  EXPECT_EQ(program.RunToEnd().exit_code, 0);
  EXPECT_EQ(program.counts("Deep").recorded, 125u);
  EXPECT_EQ(program.counts("Deep").dropped, 875u);
}

TEST(ThreadNames, name_of_the_first_thread__then_it_alone_is_recorded) {
  LaunchedProgram program(kControlFlow);
  program.options().filter.thread_names = {"nothing", "control_*"};
  ASSERT_TRUE(program.Start({"loop"}));
  EXPECT_EQ(program.RunToEnd().exit_code, 0);
  EXPECT_EQ(program.counts("Leaf").total(), 100'000u);
  EXPECT_EQ(program.counts("Leaf").filtered, 0u);
}

TEST(ThreadNames, set_and_changed_while_it_runs__then_soon_obeyed) {
  LaunchedProgram program(kControlFlow);
  program.options().filter.thread_names = {"wanted-*"};
  ASSERT_TRUE(program.Start({"names"}));
  const auto named = [&program] { return program.counts("Named"); };
  while (named().recorded == 0) program.DrainOnce();
  program.SendByte();
  uint64_t filtered = named().filtered;
  while (named().filtered == filtered) program.DrainOnce();
  const uint64_t recorded = named().recorded;
  program.SendByte();
  while (named().recorded == recorded) program.DrainOnce();
  program.SendByte();
  EXPECT_EQ(program.RunToEnd().exit_code, 0);
  EXPECT_EQ(program.counts("main").recorded, 0u);
  EXPECT_EQ(program.counts("main").filtered, 1u);
  EXPECT_EQ(program.counts("ChangeNames").filtered, 1u);
}

TEST(CoarseClock, times__then_nest_and_are_those_of_the_clock) {
  lane::ClockPublisher clock;
  LaunchedProgram program(kControlFlow);
  program.options().limits.ring_bytes = 8u << 20;
  program.options().coarse_clock = &clock;
  ASSERT_TRUE(program.Start({"loop"}));
  EXPECT_EQ(program.RunToEnd().exit_code, 0);
  EXPECT_EQ(program.counts("Leaf").total(), 100'000u);
  const uint32_t loop = program.IndexOf("main");
  const auto& records = program.records();
  const auto main = std::find_if(records.begin(), records.end(),
                                 [loop](const auto& call) { return call.function_index == loop; });
  ASSERT_NE(main, records.end());
  std::vector<uint64_t> times;
  uint64_t last_end = 0;
  for (const lane::CallRecord& call : records) {
    EXPECT_LE(call.start_ticks, call.end_ticks);
    EXPECT_GE(call.start_ticks, main->start_ticks);
    EXPECT_LE(call.end_ticks, main->end_ticks);
    EXPECT_GE(call.end_ticks, last_end);  // in the order in which they ended
    last_end = call.end_ticks;
    times.push_back(call.start_ticks);
  }
  std::sort(times.begin(), times.end());
  times.erase(std::unique(times.begin(), times.end()), times.end());
  EXPECT_LT(times.size(), records.size() / 2);
  EXPECT_GT(clock.LargestGapSince(times.front()), 0u);
}

TEST(CoarseClock, threads_and_exceptions__then_counts_are_exact) {
  lane::ClockPublisher clock;
  LaunchedProgram program(kKnownCounts);
  program.options().coarse_clock = &clock;
  ASSERT_TRUE(program.Start({}));
  EXPECT_EQ(program.RunToEnd().exit_code, 7);
  EXPECT_EQ(program.output(), "1196\n1196\n1196\n1196\n");
  EXPECT_EQ(program.counts("Leaf").recorded, 4u * 1009);
  EXPECT_EQ(program.counts("Rethrow").recorded, 4u);
  EXPECT_EQ(program.counts("_ZN4PartD1Ev").recorded, 12u);
}

}  // namespace
}  // namespace flightrec::target
