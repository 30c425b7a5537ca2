// `flightrec attach`: records a running process until it ends, a time is over or it is interrupted,
// and leaves the process as it was.

#ifndef SERVICES_FLIGHTREC_ATTACH_COMMAND_H_
#define SERVICES_FLIGHTREC_ATTACH_COMMAND_H_

#include "absl/status/status.h"
#include "services/flightrec/command_line.h"
#include "services/flightrec/connection.h"

namespace flightrec::cli {

// Statuses as of CaptureService.Attach. What was recorded goes to stderr. Not while another thread
// waits for signals.
absl::Status Attach(Connection& connection, const CommandLine& line);

}  // namespace flightrec::cli

#endif  // SERVICES_FLIGHTREC_ATTACH_COMMAND_H_
