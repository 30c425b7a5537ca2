#include "common/clock/calibration.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace flightrec::clock {
namespace {

constexpr uint64_t kHalfNs = uint64_t{1} << 31;

TEST(Calibration, ticks_around_the_reference__convert_by_the_rate) {
  const Calibration calibration = {.ref_ticks = 1000,
                                   .ref_epoch_ns = 5'000'000,
                                   .ns_per_tick_q32 = kHalfNs,
                                   .uncertainty_ns = 1};
  EXPECT_EQ(ToEpochNs(calibration, 1000), 5'000'000);
  EXPECT_EQ(ToEpochNs(calibration, 1007), 5'000'003);
  EXPECT_EQ(ToEpochNs(calibration, 998), 4'999'999);
  EXPECT_EQ(ToDurationNs(calibration, 7), 3);
}

TEST(Calibration, increasing_ticks__never_decrease_in_ns) {
  const Calibration calibration = {.ref_ticks = 500,
                                   .ref_epoch_ns = 1'000'000,
                                   .ns_per_tick_q32 = 1'654'321'987,
                                   .uncertainty_ns = 1};
  int64_t last = std::numeric_limits<int64_t>::min();
  for (uint64_t ticks = 0; ticks < 1000; ++ticks) {
    const int64_t ns = ToEpochNs(calibration, ticks);
    ASSERT_GE(ns, last) << ticks;
    last = ns;
  }
}

TEST(Calibration, values_out_of_range__saturate) {
  const Calibration calibration = {.ref_ticks = uint64_t{1} << 63,
                                   .ref_epoch_ns = 0,
                                   .ns_per_tick_q32 = std::numeric_limits<uint64_t>::max(),
                                   .uncertainty_ns = 1};
  EXPECT_EQ(ToEpochNs(calibration, ~uint64_t{0}), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(ToEpochNs(calibration, 0), std::numeric_limits<int64_t>::min());
}

TEST(Calibration, known_samples__give_rate_and_uncertainty) {
  const ClockSample first = {
      .ticks_before = 100, .ticks_after = 140, .epoch_ns = 7'000, .monotonic_ns = 50};
  const ClockSample second = {
      .ticks_before = 2'100, .ticks_after = 2'140, .epoch_ns = 8'000, .monotonic_ns = 1'050};
  const absl::StatusOr<Calibration> calibration = CalibrationFromSamples(first, second);
  ASSERT_TRUE(calibration.ok()) << calibration.status();
  EXPECT_EQ(calibration->ns_per_tick_q32, kHalfNs);
  EXPECT_EQ(calibration->ref_ticks, 2'120u);
  EXPECT_EQ(calibration->ref_epoch_ns, 8'000);
  EXPECT_EQ(calibration->uncertainty_ns, 11u);
}

TEST(Calibration, duration__is_rounded_up_to_ticks) {
  const Calibration third = {.ns_per_tick_q32 = (uint64_t{3} << 32) + 1};
  EXPECT_EQ(ToTicks(third, 0), 0u);
  EXPECT_EQ(ToTicks(third, 1), 1u);
  EXPECT_EQ(ToTicks(third, 3), 1u);
  EXPECT_EQ(ToTicks(third, 4), 2u);
  EXPECT_EQ(ToTicks({.ns_per_tick_q32 = 1}, INT64_MAX), UINT64_MAX);
}

TEST(Calibration, clock_that_stands_still__is_refused) {
  const ClockSample sample = {
      .ticks_before = 100, .ticks_after = 140, .epoch_ns = 7'000, .monotonic_ns = 50};
  EXPECT_EQ(CalibrationFromSamples(sample, sample).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(Calibrate, this_machine__agrees_with_its_clock) {
  const absl::StatusOr<Calibration> calibration = Calibrate();
  ASSERT_TRUE(calibration.ok()) << calibration.status();
  EXPECT_GT(calibration->uncertainty_ns, 0u);
  const ClockSample sample = ReadClockSample();
  const int64_t error = std::abs(ToEpochNs(*calibration, sample.ticks_after) - sample.epoch_ns);
  // Generous: a busy machine and a clock that is being slewed.
  EXPECT_LT(error, 1'000'000);
}

}  // namespace
}  // namespace flightrec::clock
