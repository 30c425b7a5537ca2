// Tells which threads of a traced process have ended, and when their lane slots
// may go to other threads.
//
// Not thread-safe; for the thread that drains the process. Reads /proc; takes
// and releases nothing itself.
#ifndef SERVICES_TRACER_TARGET_THREAD_WATCH_H_
#define SERVICES_TRACER_TARGET_THREAD_WATCH_H_

#include <sys/types.h>

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/optional.h"
#include "common/clock/calibration.h"
#include "services/tracer/lane/lane_reader.h"

namespace flightrec::target {

struct EndedThread {
  lane::LaneThread thread;
  // No living thread can still run on the ended one's block. A thread inherits
  // the gs base of its creator, and may get the memory of an ended thread and
  // so its thread pointer: until it is registered, it is taken for that one.
  bool releasable = false;
};

class ThreadWatch {
 public:
  ThreadWatch(pid_t pid, const clock::Calibration& calibration)
      : pid_(pid), calibration_(calibration) {}

  // Those of `threads` (of LaneReader::Threads, read before) that have ended. `refused` are tids of
  // LaneReader::RefusedTids: they run on no slot's block. Drain the ended once more after this.
  std::vector<EndedThread> FindEnded(const std::vector<lane::LaneThread>& threads,
                                     const std::vector<uint32_t>& refused);

 private:
  // Times are since boot, in the unit of field 22 of /proc/PID/stat.
  struct FirstLook {
    uint64_t start = 0;  // of the thread; 0: it was gone
    // No later than the registration, and so than the start of any thread that has inherited its
    // block. Known of threads too that nobody has seen alive.
    uint64_t registered = 0;
  };

  // 0: gone. nullopt: it lives, but nothing can be read.
  absl::optional<uint64_t> StartOf(uint32_t tid) const;
  uint64_t RegisteredAt(uint64_t start_ticks) const;
  // Takes the living out of `threads` into `registered`, tid to start.
  std::vector<EndedThread> SplitOff(const std::vector<lane::LaneThread>& threads,
                                    absl::flat_hash_map<uint32_t, uint64_t>& registered);
  // Start of the youngest living thread that may run on a block not its own. 0: there is none.
  uint64_t Youngest(const absl::flat_hash_map<uint32_t, uint64_t>& registered) const;

  // A tid may be used again: only the thread that had it at the first look counts.
  void LookAtRefused(const std::vector<uint32_t>& refused);

  const pid_t pid_;
  const clock::Calibration calibration_;
  absl::flat_hash_map<uint32_t, uint64_t> refused_starts_;  // by tid
  // By thread ordinal.
  absl::flat_hash_map<uint64_t, FirstLook> first_looks_;
};

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_THREAD_WATCH_H_
