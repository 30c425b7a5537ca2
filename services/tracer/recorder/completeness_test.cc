#include "services/tracer/recorder/completeness.h"

#include <gtest/gtest.h>

namespace flightrec::tracer {
namespace {

TEST(Completeness, one_thread_beyond_the_limit__then_says_how_many_there_were) {
  lane::Refusals refusals;
  refusals.by_limit = 1;
  const trace::v1::Completeness completeness =
      DescribeCompleteness({}, refusals, /*thread_limit=*/64);
  EXPECT_EQ(completeness.threads_refused(), 1u);
  EXPECT_EQ(completeness.thread_limit_message(), "Thread limit exceeded: 65 > 64");
}

TEST(Completeness, children__then_counted_by_how_they_were_started) {
  lane::ProcessStarts starts;
  starts.fork = 1;
  starts.posix_spawn = 2;
  trace::v1::Completeness completeness;
  AddChildren(starts, {"vfork"}, completeness);
  EXPECT_EQ(completeness.children_not_traced(), 3u);
  ASSERT_EQ(completeness.untraced_children_size(), 2);
  EXPECT_EQ(completeness.untraced_children(0).start(), "fork");
  EXPECT_EQ(completeness.untraced_children(1).start(), "posix_spawn");
  EXPECT_EQ(completeness.untraced_children(1).processes(), 2u);
  EXPECT_EQ(completeness.notes(0), "child processes started by vfork are not counted");
}

TEST(Completeness, nothing_missing__then_is_all_zero_but_the_calls) {
  drain::DrainTotals totals;
  totals.calls = 7;
  const trace::v1::Completeness completeness = DescribeCompleteness(totals, {}, 64);
  trace::v1::Completeness expected;
  expected.set_calls_recorded(7);
  EXPECT_EQ(completeness.ShortDebugString(), expected.ShortDebugString());
}

TEST(Completeness,
     calls_lost_for_several_causes__then_depth_is_told_apart_and_functions_come_largest_first) {
  drain::DrainTotals totals;
  totals.lost_lane_full = 10;
  totals.lost_spool_full = 5;
  totals.lost_too_deep = 3;
  totals.lost_by_function = {{111, 4}, {222, 14}};
  const trace::v1::Completeness completeness = DescribeCompleteness(totals, {}, 64);
  EXPECT_EQ(completeness.calls_lost(), 15u);
  EXPECT_EQ(completeness.calls_too_deep(), 3u);
  ASSERT_EQ(completeness.lost_by_function_size(), 2);
  EXPECT_EQ(completeness.lost_by_function(0).function_id(), 222u);
  EXPECT_EQ(completeness.lost_by_function(1).calls(), 4u);
}

TEST(Completeness, calls_filtered__then_told_apart_from_lost_ones) {
  drain::DrainTotals totals;
  totals.filtered = 12;
  const trace::v1::Completeness completeness = DescribeCompleteness(totals, {}, 64);
  EXPECT_EQ(completeness.calls_filtered(), 12u);
  EXPECT_EQ(completeness.calls_lost(), 0u);
}

TEST(Completeness, hooks_that_could_not_be_placed__then_are_a_refusal_with_names) {
  trace::v1::Completeness completeness;
  std::vector<trace::v1::Function> functions(2);
  functions[1].set_name("parse()");
  AddFailures({{1, "no memory within 2 GiB"}}, functions, completeness);
  ASSERT_EQ(completeness.refusals_size(), 1);
  EXPECT_EQ(completeness.refusals(0).reason(), "NOT_PLACED");
  EXPECT_EQ(completeness.refusals(0).examples(0), "parse()");
  EXPECT_NE(completeness.refusals(0).description().find("no memory within 2 GiB"),
            std::string::npos);
}

}  // namespace
}  // namespace flightrec::tracer
