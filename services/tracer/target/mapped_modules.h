// The files whose code a process has mapped, and how to read them although the process may live in
// another mount namespace, or its files may have been deleted or replaced since.
//
// Stateless functions, thread-safe.
#ifndef SERVICES_TRACER_TARGET_MAPPED_MODULES_H_
#define SERVICES_TRACER_TARGET_MAPPED_MODULES_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/tracer/symbols/module.h"

namespace flightrec::target {

// A file that a process has mapped.
struct MappedModule {
  std::string path;   // as the process knows it
  uint64_t base = 0;  // address of its first byte
  bool is_main_executable = false;
  uint64_t end = 0;  // of its last mapping
  // What to open as long as the mapping is there; empty: `path`.
  std::string file;
};

// Whose paths the tracer can open itself, without asking the process.
enum class Files { kOwn, kOfProcess };

// The path of a process's main executable as /proc/PID/maps has it. NOT_FOUND: it has ended, or has
// none.
absl::StatusOr<std::string> ReadMainPath(pid_t pid);

// Files with code, each once, the main executable first, whose path in /proc/PID/maps is
// `main_path`. FAILED_PRECONDITION: it is not among them.
absl::StatusOr<std::vector<MappedModule>> ListMappedModules(pid_t pid, const std::string& main_path,
                                                            Files files);

// Errors of symbols::ReadModule.
absl::StatusOr<symbols::Module> ReadMappedModule(const MappedModule& mapped);

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_MAPPED_MODULES_H_
