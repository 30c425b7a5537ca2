// Decides for each function of a module whether and where it can be hooked.
// Immutable after construction, thread-safe; reads the file's bytes, never a
// process, and patches nothing.
//
//   auto module = symbols::ReadModule(path);
//   auto pattern = pattern::FunctionPattern::Parse({"ns::*,!ns::Log*"});
//   auto selected = pattern->Select({{&*module, /*is_main_executable=*/true}});
//   patch::Planner planner(*module);
//   patch::PlanResult plan = planner.Plan((*selected)[0].functions);
//   for (const patch::Site& site : plan.sites) {
//     auto moved = patch::RelocatePrologue(site, load_bias, stub_code_address);
//     // write moved->code there, then, with every thread stopped and the bytes
//     // at load_bias + site.address compared with site.displaced:
//     auto jump = patch::EncodeJump(load_bias + site.address, stub_entry);
//   }

#ifndef SERVICES_TRACER_PATCH_PLANNER_H_
#define SERVICES_TRACER_PATCH_PLANNER_H_

#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "services/tracer/patch/refusal.h"
#include "services/tracer/patch/site.h"
#include "services/tracer/symbols/module.h"

namespace flightrec::patch {

class CodeScan;

// kAllow is for the tracer's own hooks, such as the one in _Unwind_Find_FDE:
// names and kinds are not looked at, the code checks are the same.
enum class NamePolicy : uint8_t { kRefuseReserved, kAllow };

struct PlanResult {
  std::vector<Site> sites;        // sorted by function
  std::vector<Refusal> refusals;  // sorted by function
};

class Planner {
 public:
  // Decodes the whole code of the module once. The module must outlive it.
  explicit Planner(const symbols::Module& module);
  ~Planner();
  Planner(const Planner&) = delete;
  Planner& operator=(const Planner&) = delete;

  // `function` is an index into module.functions.
  std::variant<Site, Refusal> PlanSite(uint32_t function,
                                       NamePolicy names = NamePolicy::kRefuseReserved) const;

  PlanResult Plan(absl::Span<const uint32_t> functions) const;

 private:
  const symbols::Module& module_;
  const absl::optional<RefusalReason> refused_module_;
  std::unique_ptr<const CodeScan> scan_;
};

}  // namespace flightrec::patch

#endif  // SERVICES_TRACER_PATCH_PLANNER_H_
