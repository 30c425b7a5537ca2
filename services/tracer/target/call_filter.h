// Which calls of a process get a record. A value; what it leaves out is counted by function.
#ifndef SERVICES_TRACER_TARGET_CALL_FILTER_H_
#define SERVICES_TRACER_TARGET_CALL_FILTER_H_

#include <cstdint>
#include <string>
#include <vector>

namespace flightrec::target {

struct CallFilter {
  // Shorter calls are left out; 0: none.
  uint64_t min_duration_ticks = 0;
  // Calls with as many recorded calls around them are left out; 0: none.
  uint32_t max_depth = 0;
  // Globs; calls of threads whose name matches none are left out. Empty: all threads are in. At
  // most agent::kMaxThreadGlobs, each shorter than agent::kMaxThreadGlobBytes.
  std::vector<std::string> thread_names;

  // Something is decided when a call begins.
  bool limits_calls() const { return max_depth != 0 || !thread_names.empty(); }
  bool leaves_out() const { return min_duration_ticks != 0 || limits_calls(); }
};

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_CALL_FILTER_H_
