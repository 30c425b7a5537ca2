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
  explicit ThreadWatch(pid_t pid) : pid_(pid) {}

  // Those of `threads` (of LaneReader::Threads, read before) that have ended. `refused` are tids of
  // LaneReader::RefusedTids: they run on no slot's block. Drain the ended once more after this.
  std::vector<EndedThread> FindEnded(const std::vector<lane::LaneThread>& threads,
                                     const std::vector<uint32_t>& refused);

 private:
  uint64_t StartOf(uint32_t tid) const;  // 0: gone

  // A tid may be used again: only the thread that had it at the first look counts.
  void LookAtRefused(const std::vector<uint32_t>& refused);

  const pid_t pid_;
  absl::flat_hash_map<uint32_t, uint64_t> refused_starts_;  // by tid
  // Start times by thread ordinal, kept from the first look at a thread.
  absl::flat_hash_map<uint64_t, uint64_t> starts_;
};

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_THREAD_WATCH_H_
