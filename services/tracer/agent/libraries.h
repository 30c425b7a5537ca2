// Lets a thread that has just loaded or unloaded libraries wait until the tracer has hooked them.
//
// Freestanding; runs in the program's thread, which holds the loader's lock meanwhile, so the wait
// is bounded. Knows nothing of libraries itself: the tracer looks what is mapped.
#ifndef SERVICES_TRACER_AGENT_LIBRARIES_H_
#define SERVICES_TRACER_AGENT_LIBRARIES_H_

#include <stdint.h>

namespace flightrec::agent {

// All in nanoseconds. How often a sleeping thread looks whether the tracer is there.
inline constexpr int64_t kLibrarySleep = 100'000'000;
// Without a beat of the tracer until it is taken for gone, for good. Longer than it is busy with
// one change of hooks: stopping the threads may take it kStopAttempts * (kStopTimeout +
// kStopPause).
inline constexpr int64_t kMaxSilence = 10'000'000'000;
// For one change of libraries.
inline constexpr int64_t kMaxLibraryWait = 30'000'000'000;

}  // namespace flightrec::agent

#endif  // SERVICES_TRACER_AGENT_LIBRARIES_H_
