// Carries out one command and prints its answer. Single-threaded.

#ifndef SERVICES_FLIGHTREC_COMMANDS_H_
#define SERVICES_FLIGHTREC_COMMANDS_H_

#include "common/log/logger.h"
#include "common/metrics/registry.h"
#include "services/flightrec/command_line.h"

namespace flightrec::cli {

// Exit codes of our own, as env(1) has them: they tell a failure of ours from one of the program.
inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitRunFailed = 125;
inline constexpr int kExitNotExecutable = 126;
inline constexpr int kExitNotFound = 127;

// The exit code of the process. Answers go to stdout, errors and notes to stderr.
int Execute(const CommandLine& line, log::Logger* logger, metrics::Registry* registry);

}  // namespace flightrec::cli

#endif  // SERVICES_FLIGHTREC_COMMANDS_H_
