// Which functions of a C library every start of a process goes through, so that each is counted
// once.
//
// Pure function, thread-safe. Knows glibc and musl, as shared libraries and inside static programs
// that have their symbols.
#ifndef SERVICES_TRACER_TARGET_PROCESS_STARTS_H_
#define SERVICES_TRACER_TARGET_PROCESS_STARTS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "services/tracer/agent/state.h"
#include "services/tracer/symbols/module.h"

namespace flightrec::target {

struct StartPoint {
  uint32_t function = 0;  // index in the module
  agent::ProcessEvent event = agent::kForks;
};

// kExecBegins stands for both of its events.
std::vector<StartPoint> FindStartPoints(const symbols::Module& module);

// By its file's name.
bool IsCLibrary(const std::string& path);

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_PROCESS_STARTS_H_
