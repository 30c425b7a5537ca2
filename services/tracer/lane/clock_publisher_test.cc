#include "services/tracer/lane/clock_publisher.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "common/clock/calibration.h"

namespace flightrec::lane {
namespace {

uint64_t Read(const uint64_t& line) { return __atomic_load_n(&line, __ATOMIC_RELAXED); }

TEST(ClockPublisher, line__then_has_a_time_at_once_and_advances) {
  ClockPublisher publisher;
  uint64_t ticks = 0;
  const uint64_t before = clock::ReadTicks();
  const ClockPublisher::Line line(publisher, ticks);
  uint64_t last = Read(ticks);
  EXPECT_GE(last, before);
  for (int advances = 0; advances < 100;) {
    const uint64_t now = Read(ticks);
    ASSERT_GE(now, last);
    if (now != last) ++advances;
    last = now;
  }
  EXPECT_LE(last, clock::ReadTicks());
}

TEST(ClockPublisher, times_that_were_read__then_no_older_than_the_gap) {
  ClockPublisher publisher;
  uint64_t ticks = 0;
  const ClockPublisher::Line line(publisher, ticks);
  const uint64_t begin = Read(ticks);
  uint64_t largest = 0;
  uint64_t seen = begin;
  while (seen - begin < 100'000'000) {
    // In this order: what is read later is not older.
    const uint64_t now = clock::ReadTicks();
    seen = Read(ticks);
    largest = std::max(largest, now - std::min(now, seen));
  }
  EXPECT_GT(largest, 0u);
  EXPECT_LE(largest, publisher.LargestGapSince(begin));
}

TEST(ClockPublisher, two_lines__then_both_advance_and_one_stops) {
  ClockPublisher publisher;
  uint64_t first = 0;
  uint64_t second = 0;
  const ClockPublisher::Line line(publisher, first);
  {
    const ClockPublisher::Line other(publisher, second);
    EXPECT_NE(Read(second), 0u);
  }
  const uint64_t stopped = Read(second);
  const uint64_t running = Read(first);
  while (Read(first) == running) {
  }
  EXPECT_EQ(Read(second), stopped);
}

TEST(ClockPublisher, no_line_for_a_while__then_no_gap) {
  ClockPublisher publisher;
  uint64_t ticks = 0;
  { const ClockPublisher::Line line(publisher, ticks); }
  const uint64_t idle = clock::ReadTicks();
  while (clock::ReadTicks() - idle < 50'000'000) {
  }
  const ClockPublisher::Line line(publisher, ticks);
  EXPECT_LT(publisher.LargestGapSince(Read(ticks)), 50'000'000u);
}

}  // namespace
}  // namespace flightrec::lane
