// Puts hooks into a stopped process: stubs near the module, jumps to them at
// the functions' entries, and answers for stubs in front of the unwinder's
// lookups, so that exceptions cross hooked frames.
//
// For the thread that traces the process; one use. All of the process's text is
// compared with the plan before the first byte of it is changed.
#ifndef SERVICES_TRACER_TARGET_HOOK_INSTALLER_H_
#define SERVICES_TRACER_TARGET_HOOK_INSTALLER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/tracer/inject/remote_process.h"
#include "services/tracer/patch/site.h"
#include "services/tracer/stub/thunk.h"
#include "services/tracer/symbols/module.h"
#include "services/tracer/target/process_memory.h"

namespace flightrec::target {

// One function to hook. Its index in a process is its place in the lists of all modules in order.
struct Hook {
  patch::Site site;
  uint64_t function_id = 0;
};

// A planned hook that could not be set in this process.
struct HookFailure {
  uint32_t function_index = 0;
  std::string cause;
};

class HookInstaller {
 public:
  HookInstaller(inject::RemoteProcess& process, ProcessMemory& memory)
      : process_(process), memory_(memory) {}

  // Prepares the hooks of one module; the first one's index in the process is `first_index`.
  absl::Status AddModule(const symbols::Module& module, uint64_t load_bias,
                         const std::vector<Hook>& hooks, uint32_t first_index);

  // Prepares the answers for the unwinders of `module`, if it has any.
  absl::Status AddUnwinder(const symbols::Module& module, uint64_t load_bias);

  // Writes all prepared jumps.
  absl::Status Patch();

  const std::vector<HookFailure>& failures() const { return failures_; }
  uint32_t unwinders() const { return unwinders_; }

 private:
  struct Jump {
    uint64_t address;
    std::vector<uint8_t> expected;
    std::vector<uint8_t> bytes;
  };

  absl::Status AddQuestion(const symbols::Module& module, uint64_t load_bias, uint32_t function,
                           uint32_t agent_function, stub::Answer answer);
  // Adds the jump from the site to `target`.
  absl::Status AddJump(const patch::Site& site, uint64_t load_bias, uint64_t target);
  absl::Status CheckText() const;

  inject::RemoteProcess& process_;
  ProcessMemory& memory_;
  std::vector<Jump> jumps_;
  std::vector<HookFailure> failures_;
  uint32_t unwinders_ = 0;
};

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_HOOK_INSTALLER_H_
