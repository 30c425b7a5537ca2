// Measures on this machine what a stub adds to one call: a leaf function of our
// own behind a real stub, with lane memory of its own. Thread-safe: it runs on a
// thread of its own, whose gs base it uses; no process is touched.

#ifndef SERVICES_TRACER_STUB_CALL_COST_H_
#define SERVICES_TRACER_STUB_CALL_COST_H_

#include "absl/status/statusor.h"

namespace flightrec::stub {

// Nanoseconds of the thread's CPU time, the lowest of several rounds; takes a
// few milliseconds. UNAVAILABLE: this system does not let programs set their gs
// base or make executable memory.
absl::StatusOr<double> MeasureCallCost();

}  // namespace flightrec::stub

#endif  // SERVICES_TRACER_STUB_CALL_COST_H_
