#include "common/clock/calibration.h"

#include <time.h>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include <algorithm>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace flightrec::clock {
namespace {

constexpr int64_t kNsPerSecond = 1'000'000'000;

int64_t ReadNs(clockid_t id) {
  timespec now{};
  clock_gettime(id, &now);
  return int64_t{now.tv_sec} * kNsPerSecond + now.tv_nsec;
}

int64_t Saturate(__int128 value) {
  constexpr __int128 kMin = std::numeric_limits<int64_t>::min();
  constexpr __int128 kMax = std::numeric_limits<int64_t>::max();
  return static_cast<int64_t>(std::clamp(value, kMin, kMax));
}

ClockSample ReadOnce() {
  ClockSample sample;
  sample.ticks_before = ReadTicks();
  sample.epoch_ns = ReadNs(CLOCK_REALTIME);
  sample.monotonic_ns = ReadNs(CLOCK_MONOTONIC_RAW);
  sample.ticks_after = ReadTicks();
  return sample;
}

uint64_t Width(const ClockSample& sample) { return sample.ticks_after - sample.ticks_before; }

uint64_t Middle(const ClockSample& sample) { return sample.ticks_before + Width(sample) / 2; }

}  // namespace

uint64_t ReadTicks() {
#if defined(__x86_64__)
  return __rdtsc();
#elif defined(__aarch64__)
  uint64_t ticks;
  asm volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
#else
#error "no tick counter known for this architecture"
#endif
}

int64_t ToEpochNs(const Calibration& calibration, uint64_t ticks) {
  using Wide = unsigned __int128;
  const __int128 ref_ns = calibration.ref_epoch_ns;
  if (ticks >= calibration.ref_ticks) {
    const Wide ns =
        static_cast<Wide>(ticks - calibration.ref_ticks) * calibration.ns_per_tick_q32 >> 32;
    return Saturate(ref_ns + static_cast<__int128>(ns));
  }
  // Rounds away from the reference, which is down, as on the other side: order
  // is kept across it.
  const Wide scaled =
      static_cast<Wide>(calibration.ref_ticks - ticks) * calibration.ns_per_tick_q32;
  constexpr Wide kFraction = (Wide{1} << 32) - 1;
  const Wide ns = (scaled >> 32) + ((scaled & kFraction) != 0 ? 1 : 0);
  return Saturate(ref_ns - static_cast<__int128>(ns));
}

int64_t ToDurationNs(const Calibration& calibration, uint64_t ticks) {
  const unsigned __int128 ns =
      (static_cast<unsigned __int128>(ticks) * calibration.ns_per_tick_q32) >> 32;
  return Saturate(static_cast<__int128>(ns));
}

uint64_t ToTicks(const Calibration& calibration, int64_t duration_ns) {
  const unsigned __int128 scaled = static_cast<unsigned __int128>(duration_ns) << 32;
  const unsigned __int128 ticks =
      (scaled + calibration.ns_per_tick_q32 - 1) / calibration.ns_per_tick_q32;
  return ticks > UINT64_MAX ? UINT64_MAX : static_cast<uint64_t>(ticks);
}

ClockSample ReadClockSample() {
  ClockSample best = ReadOnce();
  for (int i = 1; i < kCalibrationReads; ++i) {
    const ClockSample sample = ReadOnce();
    if (Width(sample) < Width(best)) best = sample;
  }
  return best;
}

absl::StatusOr<Calibration> CalibrationFromSamples(const ClockSample& first,
                                                   const ClockSample& second) {
  const int64_t ns = second.monotonic_ns - first.monotonic_ns;
  if (ns <= 0 || Middle(second) <= Middle(first) || second.ticks_after < second.ticks_before) {
    return absl::InvalidArgumentError(
        absl::StrCat("clock samples do not advance: ", Middle(first), " to ", Middle(second),
                     " ticks in ", ns, " ns; the TSC of this machine cannot be used for times"));
  }
  const uint64_t ticks = Middle(second) - Middle(first);
  Calibration calibration;
  calibration.ref_ticks = Middle(second);
  calibration.ref_epoch_ns = second.epoch_ns;
  calibration.ns_per_tick_q32 =
      static_cast<uint64_t>(((static_cast<unsigned __int128>(ns) << 32) + ticks / 2) / ticks);
  if (calibration.ns_per_tick_q32 == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("clock samples give 0 ns per tick: ", ticks, " ticks in ", ns, " ns"));
  }
  calibration.uncertainty_ns =
      static_cast<uint64_t>(ToDurationNs(calibration, Width(second) / 2 + 1) + 1);
  return calibration;
}

absl::StatusOr<Calibration> Calibrate(absl::Duration between_samples) {
  const ClockSample first = ReadClockSample();
  absl::SleepFor(std::max(between_samples, kMinCalibrationTime));
  return CalibrationFromSamples(first, ReadClockSample());
}

}  // namespace flightrec::clock
