// Lets a thread that has just loaded or unloaded libraries wait until the tracer has hooked them.
//
// Freestanding; runs in the program's thread, which holds the loader's lock meanwhile, so the wait
// is bounded. Knows nothing of libraries itself: the tracer looks what is mapped.
#ifndef SERVICES_TRACER_AGENT_LIBRARIES_H_
#define SERVICES_TRACER_AGENT_LIBRARIES_H_

#include <stdint.h>

namespace flightrec::agent {

// One sleep, in nanoseconds.
inline constexpr int64_t kLibrarySleep = 100'000'000;
// Sleeps without a beat of the tracer until it is taken for gone, for good.
inline constexpr uint32_t kBeatlessSleeps = 20;
// Sleeps for one change of libraries.
inline constexpr uint32_t kMaxLibrarySleeps = 300;
// Sleeps that a signal ended early.
inline constexpr uint32_t kMaxInterruptions = 100000;

}  // namespace flightrec::agent

#endif  // SERVICES_TRACER_AGENT_LIBRARIES_H_
