// Where a module lies in a process, from the address of its first byte there.
// Pure, thread-safe.
#ifndef SERVICES_TRACER_TARGET_LOAD_BIAS_H_
#define SERVICES_TRACER_TARGET_LOAD_BIAS_H_

#include <cstdint>

#include "services/tracer/lane/layout.h"
#include "services/tracer/symbols/module.h"

namespace flightrec::target {

inline uint64_t LoadBias(const symbols::Module& module, uint64_t low) {
  if (!module.is_pie || module.segments.empty()) return 0;
  return low - (module.segments.front().vaddr & ~(lane::kPageBytes - 1));
}

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_LOAD_BIAS_H_
