#include "services/tracer/lane/clock_publisher.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>

#include "common/clock/calibration.h"

namespace flightrec::lane {

ClockPublisher::ClockPublisher() : thread_([this] { Run(); }) {}

ClockPublisher::~ClockPublisher() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  thread_.join();
}

void ClockPublisher::Publish() {
  // A processor whose counter is behind must not turn the clock back.
  const uint64_t now = std::max(clock::ReadTicks(), last_);
  // Relaxed: readers need the value alone.
  for (uint64_t* line : lines_) __atomic_store_n(line, now, __ATOMIC_RELAXED);
  if (last_ != 0) gaps_.Add(last_, now);
  last_ = now;
}

void ClockPublisher::Run() {
  static_cast<void>(setpriority(PRIO_PROCESS, 0, kNiceness));
  // The kernel adds 50 us to every sleep by default.
  prctl(PR_SET_TIMERSLACK, 1000, 0, 0, 0);
  const timespec period = absl::ToTimespec(kPeriod);
  const auto wanted = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stop_ || !lines_.empty();
  };
  while (true) {
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&wanted));
      if (stop_) return;
      Publish();
    }
    nanosleep(&period, nullptr);
  }
}

uint64_t ClockPublisher::LargestGapSince(uint64_t ticks) const {
  absl::MutexLock lock(&mutex_);
  const uint64_t unfinished = last_ == 0 ? 0 : clock::ReadTicks() - last_;
  return std::max(gaps_.LargestSince(ticks), unfinished);
}

ClockPublisher::Line::Line(ClockPublisher& publisher, uint64_t& ticks)
    : publisher_(publisher), ticks_(&ticks) {
  absl::MutexLock lock(&publisher_.mutex_);
  // Of a tracer that was killed: nobody has published since.
  if (ticks != 0) publisher_.gaps_.Add(ticks, clock::ReadTicks());
  publisher_.lines_.push_back(ticks_);
  publisher_.Publish();
}

ClockPublisher::Line::~Line() {
  absl::MutexLock lock(&publisher_.mutex_);
  auto& lines = publisher_.lines_;
  lines.erase(std::remove(lines.begin(), lines.end(), ticks_), lines.end());
  if (lines.empty()) publisher_.last_ = 0;
}

}  // namespace flightrec::lane
