// Mutes the threads of a traced process whose names are not wanted, and unmutes those that get a
// wanted name later.
//
// Not thread-safe; for the thread that drains the process. Only for lanes with lane::kFilters. What
// a thread is until the first look, the agent decides by the name it has then.
#ifndef SERVICES_TRACER_TARGET_THREAD_FILTER_H_
#define SERVICES_TRACER_TARGET_THREAD_FILTER_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "services/tracer/lane/lane_reader.h"

namespace flightrec::target {

class ThreadFilter {
 public:
  // `reader` must outlive it. Globs as CallFilter has them; none: Apply does nothing.
  ThreadFilter(pid_t pid, std::vector<std::string> globs, lane::LaneReader& reader)
      : pid_(pid), globs_(std::move(globs)), reader_(reader) {}

  // Looks at the names of these threads, of LaneReader::Threads.
  void Apply(const std::vector<lane::LaneThread>& threads);

 private:
  const pid_t pid_;
  const std::vector<std::string> globs_;
  lane::LaneReader& reader_;
};

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_THREAD_FILTER_H_
