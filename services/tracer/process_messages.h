// ListProcesses between the contract and the domain: what is asked, what is answered. Pure
// functions, thread-safe.

#ifndef SERVICES_TRACER_PROCESS_MESSAGES_H_
#define SERVICES_TRACER_PROCESS_MESSAGES_H_

#include <vector>

#include "absl/status/statusor.h"
#include "flightrec/capture/v1/capture.pb.h"
#include "services/tracer/host/process_list.h"
#include "services/tracer/recorder/capture_state.h"

namespace flightrec::tracer {

// INVALID_ARGUMENT names the field. `captures`: the recordings of this tracer.
absl::StatusOr<host::ProcessQuery> ToProcessQuery(const capture::v1::ListProcessesRequest& request,
                                                  const std::vector<CaptureState>& captures);

capture::v1::ListProcessesResponse ToResponse(const host::ProcessPage& page);

}  // namespace flightrec::tracer

#endif  // SERVICES_TRACER_PROCESS_MESSAGES_H_
