// Whether threads of a process exist, by /proc. Thread-safe. Cannot tell a thread from a later one
// with the same tid.
#ifndef SERVICES_TRACER_DRAIN_PROC_THREADS_H_
#define SERVICES_TRACER_DRAIN_PROC_THREADS_H_

#include <cstdint>

namespace flightrec::drain {

bool ThreadExists(uint32_t pid, uint32_t tid);

}  // namespace flightrec::drain

#endif  // SERVICES_TRACER_DRAIN_PROC_THREADS_H_
