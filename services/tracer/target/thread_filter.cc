#include "services/tracer/target/thread_filter.h"

#include <algorithm>

#include "services/tracer/pattern/glob.h"
#include "services/tracer/target/proc_files.h"

namespace flightrec::target {

void ThreadFilter::Apply(const std::vector<lane::LaneThread>& threads) {
  if (globs_.empty()) return;
  for (const lane::LaneThread& thread : threads) {
    const std::string name = ReadThreadName(pid_, thread.tid);
    const bool wanted = std::any_of(globs_.begin(), globs_.end(), [&name](const std::string& glob) {
      return pattern::GlobMatches(glob, name);
    });
    reader_.SetMuted(thread.slot, !wanted);
  }
}

}  // namespace flightrec::target
