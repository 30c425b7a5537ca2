// What a dynamic loader reads of an ELF file before it looks for libraries.
// Stateless, thread-safe; a damaged dynamic section gives fewer results.

#ifndef SERVICES_TRACER_SYMBOLS_LOADER_INFO_H_
#define SERVICES_TRACER_SYMBOLS_LOADER_INFO_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace flightrec::symbols {

struct LoaderInfo {
  std::string interpreter;          // PT_INTERP or empty
  std::string soname;               // DT_SONAME or empty
  std::vector<std::string> needed;  // DT_NEEDED, in order
  std::string rpath;                // DT_RPATH, colon-separated
  std::string runpath;              // DT_RUNPATH, colon-separated
};

// Statuses as of ReadModule.
absl::StatusOr<LoaderInfo> ReadLoaderInfo(const std::string& path);

}  // namespace flightrec::symbols

#endif  // SERVICES_TRACER_SYMBOLS_LOADER_INFO_H_
