#include "services/tracer/lane/clock_gaps.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace flightrec::lane {
namespace {

TEST(ClockGaps, nothing_published__then_none) { EXPECT_EQ(ClockGaps().LargestSince(0), 0u); }

TEST(ClockGaps, gap_that_lasts_at_the_moment__then_counts) {
  ClockGaps gaps;
  gaps.Add(100, 200);
  gaps.Add(200, 210);
  EXPECT_EQ(gaps.LargestSince(0), 100u);
  EXPECT_EQ(gaps.LargestSince(199), 100u);
  EXPECT_EQ(gaps.LargestSince(200), 10u);
  EXPECT_EQ(gaps.LargestSince(210), 0u);
}

TEST(ClockGaps, random_gaps__then_as_a_search_through_all) {
  std::mt19937 random(1);
  ClockGaps gaps;
  std::vector<uint64_t> times = {1};
  for (int i = 0; i < 2000; ++i) {
    times.push_back(times.back() + 1 + random() % 1000);
    gaps.Add(times[times.size() - 2], times.back());
  }
  for (uint64_t moment = 0; moment < times.back() + 2; moment += 97) {
    uint64_t largest = 0;
    for (size_t i = 1; i < times.size(); ++i) {
      if (times[i] > moment) largest = std::max(largest, times[i] - times[i - 1]);
    }
    EXPECT_EQ(gaps.LargestSince(moment), largest) << moment;
  }
}

TEST(ClockGaps, more_gaps_than_it_keeps__then_old_answers_are_never_too_small) {
  constexpr uint64_t kGaps = 2 * ClockGaps::kMaxEntries;
  ClockGaps gaps;
  uint64_t end = 1;
  for (uint64_t i = 0; i < kGaps; ++i) {
    gaps.Add(end, end + kGaps - i);
    end += kGaps - i;
  }
  uint64_t begin = 1;
  for (uint64_t i = 0; i < kGaps; ++i) {
    EXPECT_GE(gaps.LargestSince(begin), kGaps - i);
    begin += kGaps - i;
  }
  EXPECT_EQ(gaps.LargestSince(end - 1), 1u);
}

}  // namespace
}  // namespace flightrec::lane
