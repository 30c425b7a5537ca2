// Puts hooks into a process: stubs near the module, jumps to them at the
// functions' entries, and answers for stubs in front of the unwinder's lookups,
// so that exceptions cross hooked frames. Remembers every hook, so that it can
// be taken out and put back while the program runs.
//
// For the thread that traces the process. Writes stubs itself, wherever the
// process is; jumps only when told that it is stopped. Text is changed only
// where it is what it was thought to be.
#ifndef SERVICES_TRACER_TARGET_HOOK_INSTALLER_H_
#define SERVICES_TRACER_TARGET_HOOK_INSTALLER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "services/tracer/inject/remote_process.h"
#include "services/tracer/patch/site.h"
#include "services/tracer/stub/thunk.h"
#include "services/tracer/symbols/module.h"
#include "services/tracer/target/hook_journal.h"
#include "services/tracer/target/process_memory.h"
#include "services/tracer/target/region_builder.h"
#include "services/tracer/target/text_change.h"

namespace flightrec::target {

// One function to hook.
struct Hook {
  patch::Site site;
  uint64_t function_id = 0;
  // In the lane's records. Of one function in all modules of its build id.
  uint32_t function_index = 0;
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

  // What another tracer has changed and is still so: for RemoveHooks and Lookups only.
  void Adopt(const std::map<uint64_t, JournalPlace>& text);

  // Prepares the hooks of one module. A stub that is there from an earlier hook is used again.
  absl::Status AddModule(const symbols::Module& module, uint64_t load_bias,
                         absl::Span<const Hook> hooks);

  // Prepares the answers for the unwinders of `module`, if it has any.
  absl::Status AddUnwinder(const symbols::Module& module, uint64_t load_bias);

  // Prepares to count the processes that functions of a C library start. The names of those that
  // cannot be counted are added to `uncounted`.
  absl::Status AddNotices(const symbols::Module& module, uint64_t load_bias,
                          std::vector<std::string>* uncounted);

  // Prepares that threads which have loaded libraries wait for the tracer: `function` is the
  // address that `loader` calls then.
  absl::Status AddLoaderEvents(const symbols::Module& loader, uint64_t load_bias,
                               uint64_t function);

  // Prepares to take out the hooks of these functions. Those without one are left out.
  void Remove(const absl::flat_hash_set<uint32_t>& function_indexes);

  // The code of [low, high) is not there any more: its hooks are gone, its stubs stay.
  void Forget(uint64_t low, uint64_t high);

  // Prepares to put back every byte that was changed, except what lookups of unwinders need as long
  // as a hooked function may be crossed. Nothing else can be prepared afterwards.
  void RemoveHooks();
  // And these: for a stopped process, where no frame leads into a stub any more.
  std::vector<TextChange> Lookups() const;
  // What the program has at each of these places without the tracer.
  std::vector<JournalText> Describe(absl::Span<const TextChange> changes) const;

  // Writes all prepared jumps into a process that is stopped in none of the functions; one that
  // differs from the plan is an error before anything is changed. A sled that differs is left as it
  // is, a failure: the program's XRay runtime rewrites its sleds before the entry point when asked.
  absl::Status Patch();

  // For a process that has run: what was prepared, remembered as done. The caller writes it in the
  // stopped process and says which indexes could not be written.
  const std::vector<TextChange>& TakePrepared();
  bool has_prepared() const { return !changes_.empty(); }
  // From `tried` on it was not even tried, or an error left in the dark what was written: these
  // places are taken for changed until they were restored. Returns how many of those that were not
  // written are of no hook: notices and lookups of unwinders.
  size_t Commit(absl::Span<const size_t> unwritten, size_t tried);

  // Since the last time.
  std::vector<HookFailure> TakeFailures() { return std::exchange(failures_, {}); }
  // Functions with a jump now.
  size_t live() const { return live_; }

 private:
  struct Installed {
    uint64_t function_id = 0;
    uint32_t function_index = 0;
    PlacedStub stub;
    std::vector<uint8_t> original;
    std::vector<uint8_t> unhooked;  // what is there without the hook: `original`, or a notice
    std::vector<uint8_t> jump;
    bool sled = false;
    bool live = false;
  };
  // Bytes of the program that are others now.
  struct Changed {
    std::vector<uint8_t> original;
    std::vector<uint8_t> present;
  };
  // By site address.
  using Hooks = std::map<uint64_t, Installed>;
  // Stubs of one module at one place.
  struct ModuleRegion {
    std::vector<uint8_t> build_id;
    uint64_t load_bias = 0;
    RegionBuilder builder;
  };

  // One with room for a stub at least.
  absl::StatusOr<RegionBuilder*> RegionFor(const symbols::Module& module, uint64_t load_bias,
                                           size_t hooks);
  absl::Status Add(const Hook& hook, uint64_t load_bias, RegionBuilder& region);
  absl::Status WriteRegions();
  absl::Status WriteRegion(RegionBuilder& region);
  void Prepare(uint64_t address, Installed& hook, bool live);
  // The hook's stub, which is written, goes on at the notice; without the hook the function does.
  absl::Status LeadToNotice(uint64_t entry, uint64_t notice, Installed& hook);
  absl::Status AddQuestion(const symbols::Module& module, uint64_t load_bias, uint32_t function,
                           uint32_t agent_function, stub::Answer answer);

  // Notice code with the relocated original behind it, appended at `address`.
  absl::Status AddNotice(const patch::Site& site, uint64_t load_bias, agent::ProcessEvent event,
                         uint64_t address, std::vector<uint8_t>* page);

  inject::RemoteProcess& process_;
  ProcessMemory& memory_;
  std::vector<std::unique_ptr<ModuleRegion>> regions_;
  Hooks hooks_;
  std::map<uint64_t, Changed> changed_;
  // Beside each other: the change and the hook it is for, 0 for a question.
  std::vector<TextChange> changes_;
  std::vector<uint64_t> change_hooks_;
  // By entry: jumps to questions; a module that comes back to its place gets the old one.
  std::map<uint64_t, TextChange> questions_;
  // By entry: code of notices that was made.
  std::map<uint64_t, uint64_t> notices_;
  std::vector<HookFailure> failures_;
  size_t live_ = 0;
};

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_HOOK_INSTALLER_H_
