// `flightrec ps`: the processes of a host, and whether they can be attached to. Asks the tracer
// over gRPC. Stateless, single-threaded.

#ifndef SERVICES_FLIGHTREC_PS_COMMAND_H_
#define SERVICES_FLIGHTREC_PS_COMMAND_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "flightrec/capture/v1/capture.grpc.pb.h"
#include "services/flightrec/command_line.h"
#include "services/flightrec/views.h"

namespace flightrec::cli {

// All pages, without this process. An error of the tracer, or NOT_FOUND when a filter leaves none.
absl::StatusOr<View> Ps(capture::v1::CaptureService::StubInterface& capture,
                        const CommandLine& line);

View DescribeProcesses(const std::vector<capture::v1::HostProcess>& processes,
                       const CommandLine& line);

}  // namespace flightrec::cli

#endif  // SERVICES_FLIGHTREC_PS_COMMAND_H_
