#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "common/log/logger.h"
#include "common/metrics/registry.h"
#include "common/rpc/grpc_log.h"
#include "services/flightrec/command_line.h"
#include "services/flightrec/commands.h"
#include "services/flightrec/inherited_descriptors.h"

namespace {

// $XDG_DATA_HOME/flightrec, ~/.local/share/flightrec, or nothing.
std::string DefaultStore() {
  const char* data = std::getenv("XDG_DATA_HOME");
  if (data != nullptr && *data != '\0') return std::string(data) + "/flightrec";
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home != '\0') return std::string(home) + "/.local/share/flightrec";
  return "";
}

}  // namespace

int main(int argc, char** argv) {
  constexpr int kUsageError = 2;
  const std::vector<int> inherited = flightrec::cli::TakeInheritedDescriptors();
  absl::StatusOr<flightrec::cli::CommandLine> line = flightrec::cli::ParseCommandLine(
      std::vector<std::string>(argv + 1, argv + argc), DefaultStore());
  if (!line.ok()) {
    std::cerr << "flightrec: " << line.status().message() << "\n";
    return kUsageError;
  }
  line->inherited_descriptors = inherited;
  flightrec::log::Logger logger("flightrec", line->command == flightrec::cli::Command::kUp
                                                 ? flightrec::log::Level::kInfo
                                                 : flightrec::log::Level::kError);
  flightrec::rpc::GrpcLogRoute grpc_log(&logger);
  flightrec::metrics::Registry registry;
  return flightrec::cli::Execute(*line, &logger, &registry);
}
