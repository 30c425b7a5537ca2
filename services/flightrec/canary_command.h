// `flightrec canary`: a canary's rounds, a line for each, until interrupted. Single-threaded.

#ifndef SERVICES_FLIGHTREC_CANARY_COMMAND_H_
#define SERVICES_FLIGHTREC_CANARY_COMMAND_H_

#include <iosfwd>

#include "absl/status/statusor.h"
#include "common/log/logger.h"
#include "common/metrics/registry.h"
#include "services/flightrec/command_line.h"
#include "services/flightrec/connection.h"

namespace flightrec::cli {

inline constexpr absl::Duration kCanaryPause = absl::Seconds(2);

// Ends after --limit rounds or at a signal. The result is the number of rounds that failed; each is
// logged. UNAVAILABLE: --metrics_listen is taken.
absl::StatusOr<int> RunCanary(Connection& connection, const CommandLine& line, log::Logger& logger,
                              metrics::Registry& registry, std::ostream& out);

}  // namespace flightrec::cli

#endif  // SERVICES_FLIGHTREC_CANARY_COMMAND_H_
