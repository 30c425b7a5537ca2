// `flightrec run`: records one program from its start to its end and gives back its exit code.
// Single-threaded.

#ifndef SERVICES_FLIGHTREC_RUN_COMMAND_H_
#define SERVICES_FLIGHTREC_RUN_COMMAND_H_

#include "absl/status/statusor.h"
#include "services/flightrec/command_line.h"
#include "services/flightrec/connection.h"

namespace flightrec::cli {

// The program's exit code, or 128 + N when signal N ended it, as shells say it. What was recorded
// goes to stderr: stdout belongs to the program. NOT_FOUND and PERMISSION_DENIED are about the
// program.
absl::StatusOr<int> Run(Connection& connection, const CommandLine& line);

}  // namespace flightrec::cli

#endif  // SERVICES_FLIGHTREC_RUN_COMMAND_H_
