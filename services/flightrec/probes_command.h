// `flightrec probes`: hooks functions of a program that is being recorded, or takes their hooks
// out. Single-threaded.

#ifndef SERVICES_FLIGHTREC_PROBES_COMMAND_H_
#define SERVICES_FLIGHTREC_PROBES_COMMAND_H_

#include "absl/status/statusor.h"
#include "services/flightrec/command_line.h"
#include "services/flightrec/connection.h"
#include "services/flightrec/views.h"

namespace flightrec::cli {

// What could not be hooked, by reason; the heading says what is hooked now. NOT_FOUND: nothing is
// being recorded, or a pattern matches nothing.
absl::StatusOr<View> Probes(Connection& connection, const CommandLine& line);

}  // namespace flightrec::cli

#endif  // SERVICES_FLIGHTREC_PROBES_COMMAND_H_
