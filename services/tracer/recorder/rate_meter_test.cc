#include "services/tracer/recorder/rate_meter.h"

#include <gtest/gtest.h>

namespace flightrec::tracer {
namespace {

const absl::Time kStart = absl::UnixEpoch();

TEST(RateMeter, first_look__then_no_rates) {
  RateMeter meter(40);
  const Rates rates = meter.Look({kStart, 1000, 10, absl::Seconds(1)});
  EXPECT_EQ(rates.calls_per_second, 0);
  EXPECT_EQ(rates.program_overhead, 0);
  EXPECT_EQ(rates.tracer_cpu, 0);
}

TEST(RateMeter, second_look__then_what_came_since) {
  RateMeter meter(40);
  meter.Look({kStart, 1000, 0, absl::Seconds(1)});
  const Rates rates =
      meter.Look({kStart + absl::Seconds(2), 8'001'000, 2'000'000, absl::Seconds(1.5)});
  EXPECT_DOUBLE_EQ(rates.calls_per_second, 4e6);
  EXPECT_DOUBLE_EQ(rates.lost_calls_per_second, 1e6);
  // Five million calls of 40 ns.
  EXPECT_DOUBLE_EQ(rates.program_overhead, 0.2);
  EXPECT_DOUBLE_EQ(rates.tracer_cpu, 0.25);
}

TEST(RateMeter, numbers_that_go_back__then_zero) {
  RateMeter meter(40);
  meter.Look({kStart, 1000, 10, absl::Seconds(1)});
  EXPECT_EQ(meter.Look({kStart + absl::Seconds(1), 900, 5, absl::Seconds(1)}).calls_per_second, 0);
}

TEST(RateMeter, cpu_time_of_this_process__then_grows) {
  const absl::Duration before = OwnCpuTime();
  while (OwnCpuTime() == before) {
  }
  EXPECT_GT(OwnCpuTime(), before);
}

}  // namespace
}  // namespace flightrec::tracer
