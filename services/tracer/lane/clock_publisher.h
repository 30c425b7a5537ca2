// The coarse clock: writes the time stamp counter into the clock lines of lane files again and
// again, so that traced threads read a time with one load.
//
// Thread-safe. One thread for all lines, asleep while there is none. A line never goes backwards;
// without this process it stands still.
#ifndef SERVICES_TRACER_LANE_CLOCK_PUBLISHER_H_
#define SERVICES_TRACER_LANE_CLOCK_PUBLISHER_H_

#include <cstdint>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/tracer/lane/clock_gaps.h"

namespace flightrec::lane {

class ClockPublisher {
 public:
  // Sleep between two publications: each takes some 17 us of a processor in a virtual machine.
  static constexpr absl::Duration kPeriod = absl::Microseconds(100);
  // Of the thread, as nice(1) counts; stays as it is where the tracer may not raise it.
  static constexpr int kNiceness = -10;

  ClockPublisher();
  // All lines are gone.
  ~ClockPublisher();
  ClockPublisher(const ClockPublisher&) = delete;
  ClockPublisher& operator=(const ClockPublisher&) = delete;

  // The largest distance between two publications of which the later came after `ticks`; that of
  // the last one to now counts.
  uint64_t LargestGapSince(uint64_t ticks) const;

  // A line while it is kept up to date: from the constructor on it has a time.
  class Line {
   public:
    // Both outlive it.
    Line(ClockPublisher& publisher, uint64_t& ticks);
    ~Line();
    Line(const Line&) = delete;
    Line& operator=(const Line&) = delete;

   private:
    ClockPublisher& publisher_;
    uint64_t* const ticks_;
  };

 private:
  void Run();
  void Publish() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<uint64_t*> lines_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;  // 0: nothing was published since it slept
  ClockGaps gaps_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace flightrec::lane

#endif  // SERVICES_TRACER_LANE_CLOCK_PUBLISHER_H_
