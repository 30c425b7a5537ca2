// How raw TSC ticks of one host relate to nanoseconds since the epoch.
//
// A tracer process calibrates once and stamps the result into every chunk, so
// that conversion keeps the order of ticks and nesting never inverts.
//
// Thread-safe: values and pure functions. Does not detect a TSC that is not
// invariant, and does not follow later steps of CLOCK_REALTIME.
#ifndef COMMON_CLOCK_CALIBRATION_H_
#define COMMON_CLOCK_CALIBRATION_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace flightrec::clock {

struct Calibration {
  // A moment, once in ticks and once in nanoseconds since the epoch.
  uint64_t ref_ticks = 0;
  int64_t ref_epoch_ns = 0;
  // Nanoseconds per tick as 32.32 fixed point; never 0 in a valid calibration.
  uint64_t ns_per_tick_q32 = 0;
  // Bound of the error of ref_epoch_ns against ref_ticks: half the narrowest
  // bracket that a clock read fitted in. The rate adds its own error with the
  // distance from ref_ticks.
  uint64_t uncertainty_ns = 0;

  bool operator==(const Calibration&) const = default;
};

// Ticks before ref_ticks are fine. Saturates at the ends of int64.
int64_t ToEpochNs(const Calibration& calibration, uint64_t ticks);

// Length of `ticks` in nanoseconds, rounded down. Saturates.
int64_t ToDurationNs(const Calibration& calibration, uint64_t ticks);

// Ticks that take at least `duration_ns`, which is not negative. Saturates.
uint64_t ToTicks(const Calibration& calibration, int64_t duration_ns);

// Raw TSC of this CPU, unordered with the instructions around it.
uint64_t ReadTicks();

// One bracketed read: the clock was read after `ticks_before` and before
// `ticks_after`.
struct ClockSample {
  uint64_t ticks_before = 0;
  uint64_t ticks_after = 0;
  int64_t epoch_ns = 0;
  int64_t monotonic_ns = 0;
};

// The sample with the narrowest bracket out of kCalibrationReads.
inline constexpr int kCalibrationReads = 64;
ClockSample ReadClockSample();

// The rate comes from CLOCK_MONOTONIC_RAW between two samples, the moment from
// CLOCK_REALTIME in the later one. INVALID_ARGUMENT if the samples do not
// advance in both ticks and nanoseconds.
absl::StatusOr<Calibration> CalibrationFromSamples(const ClockSample& first,
                                                   const ClockSample& second);

// Waits between two samples; a longer wait gives a better rate.
inline constexpr absl::Duration kMinCalibrationTime = absl::Milliseconds(20);
absl::StatusOr<Calibration> Calibrate(absl::Duration between_samples = kMinCalibrationTime);

}  // namespace flightrec::clock

#endif  // COMMON_CLOCK_CALIBRATION_H_
