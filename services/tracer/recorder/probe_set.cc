#include "services/tracer/recorder/probe_set.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/tracer/target/mapped_modules.h"

namespace flightrec::tracer {
namespace {

// The main executable among the modules, read.
absl::StatusOr<std::shared_ptr<const symbols::Module>> ReadProgram(
    absl::Span<const target::MappedModule> modules) {
  for (const target::MappedModule& mapped : modules) {
    if (!mapped.is_main_executable) continue;
    absl::StatusOr<symbols::Module> module = target::ReadMappedModule(mapped);
    if (!module.ok()) return module.status();
    return std::make_shared<const symbols::Module>(*std::move(module));
  }
  return nullptr;
}

}  // namespace

void ProbeSet::Register(const std::vector<trace::v1::Function>& functions) {
  for (const trace::v1::Function& function : functions) {
    index_.try_emplace(function.function_id(), static_cast<uint32_t>(functions_.size()));
    functions_.push_back(function);
  }
}

void ProbeSet::Register(const std::vector<RefusedFunction>& refused) {
  for (const RefusedFunction& one : refused) {
    if (refused_.insert(one.function_id).second) refusals_.Add(one.reason, one.name);
  }
}

void ProbeSet::Start(pattern::FunctionPattern pattern, const ProgramPlan& plan) {
  steps_.push_back({/*terms=*/{}, std::move(pattern), /*add=*/true});
  Register(plan.functions);
  Register(plan.refused);
  later_.insert(plan.later.begin(), plan.later.end());
  notes_.insert(plan.notes.begin(), plan.notes.end());
}

void ProbeSet::Merge(ProgramPlan plan, const absl::flat_hash_set<ids::FunctionId>& excluded,
                     ProbeChange& change) const {
  absl::flat_hash_map<ids::FunctionId, uint32_t> added;
  for (size_t i = 0; i < change.functions.size(); ++i)
    added[change.functions[i].function_id()] = static_cast<uint32_t>(functions_.size() + i);
  size_t function = 0;
  for (target::ModuleHooks& module : plan.modules) {
    std::vector<target::Hook> hooks;
    for (target::Hook& hook : module.hooks) {
      trace::v1::Function& described = plan.functions[function++];
      if (excluded.contains(hook.function_id)) continue;
      const auto known = index_.find(hook.function_id);
      const auto next = static_cast<uint32_t>(functions_.size() + change.functions.size());
      hook.function_index = known != index_.end()
                                ? known->second
                                : added.try_emplace(hook.function_id, next).first->second;
      if (hook.function_index == next) change.functions.push_back(std::move(described));
      hooks.push_back(std::move(hook));
    }
    if (hooks.empty()) continue;
    module.hooks = std::move(hooks);
    change.hooks.add.push_back(std::move(module));
  }
  change.refusals.insert(change.refusals.end(), plan.refusals.begin(), plan.refusals.end());
  change.refused.insert(change.refused.end(), plan.refused.begin(), plan.refused.end());
  change.later.insert(change.later.end(), plan.later.begin(), plan.later.end());
  change.notes.insert(change.notes.end(), plan.notes.begin(), plan.notes.end());
}

absl::StatusOr<ProbeChange> ProbeSet::PlanUpdate(absl::Span<const target::MappedModule> modules,
                                                 const std::vector<std::string>& add,
                                                 const std::vector<std::string>& remove) const {
  if (steps_.size() + 2 > kMaxProbeRequests) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "Probe request limit reached: ", steps_.size(), " of ", kMaxProbeRequests,
        " requests with different patterns are kept for this recording; name more functions in one "
        "request, or start another recording"));
  }
  ProbeChange change;
  auto program = ReadProgram(modules);
  if (!program.ok()) return program.status();
  absl::flat_hash_set<ids::FunctionId> removed;
  if (!remove.empty()) {
    const auto pattern = pattern::FunctionPattern::Parse(remove);
    if (!pattern.ok()) return pattern.status();
    auto selected =
        SelectFunctions(modules, *program, *pattern, pattern::Unmatched::kRefuseUnlessLater);
    if (!selected.ok()) return selected.status();
    removed = *std::move(selected);
  }
  for (const ids::FunctionId id : removed) {
    const auto known = index_.find(id);
    if (known != index_.end()) change.hooks.remove.push_back(known->second);
  }
  if (!add.empty()) {
    const auto pattern = pattern::FunctionPattern::Parse(add);
    if (!pattern.ok()) return pattern.status();
    absl::StatusOr<ProgramPlan> plan = PlanProgram(modules, *program, *pattern);
    if (!plan.ok()) return plan.status();
    Merge(*std::move(plan), removed, change);
  } else if (change.hooks.remove.empty() && !removed.empty()) {
    return absl::NotFoundError(absl::StrCat("function pattern \"", absl::StrJoin(remove, ","),
                                            "\" matches ", removed.size(),
                                            " functions, none of which is hooked"));
  }
  return change;
}

absl::StatusOr<ProbeChange> ProbeSet::PlanLibraries(
    absl::Span<const target::MappedModule> loaded) const {
  ProbeChange change;
  change.of_loaded_libraries = true;
  for (size_t i = 0; i < steps_.size(); ++i) {
    if (!steps_[i].add) continue;
    absl::flat_hash_set<ids::FunctionId> removed;
    for (size_t later = i + 1; later < steps_.size(); ++later) {
      if (steps_[later].add) continue;
      const auto selected =
          SelectFunctions(loaded, nullptr, steps_[later].pattern, pattern::Unmatched::kIgnore);
      if (!selected.ok()) return selected.status();
      removed.insert(selected->begin(), selected->end());
    }
    absl::StatusOr<ProgramPlan> plan =
        PlanProgram(loaded, nullptr, steps_[i].pattern, pattern::Unmatched::kIgnore);
    if (!plan.ok()) return plan.status();
    Merge(*std::move(plan), removed, change);
  }
  return change;
}

void ProbeSet::Adopt(const ProbeChange& change) {
  Register(change.functions);
  Register(change.refused);
  notes_.insert(change.notes.begin(), change.notes.end());
  if (change.of_loaded_libraries) {
    std::erase_if(later_, [&](const std::string& term) {
      return std::find(change.later.begin(), change.later.end(), term) == change.later.end();
    });
    return;
  }
  later_.insert(change.later.begin(), change.later.end());
}

void ProbeSet::Keep(const std::vector<std::string>& terms, bool add) {
  if (terms.empty()) return;
  // PlanUpdate has refused what is no pattern.
  auto pattern = pattern::FunctionPattern::Parse(terms);
  if (!pattern.ok()) return;
  // The last request that names a function decides, so an earlier one on the same functions does
  // not.
  std::erase_if(steps_, [&](const Step& step) { return step.terms == terms; });
  steps_.push_back({terms, *std::move(pattern), add});
}

void ProbeSet::Remember(const std::vector<std::string>& add,
                        const std::vector<std::string>& remove) {
  Keep(add, /*add=*/true);
  Keep(remove, /*add=*/false);
}

bool ProbeSet::WantsLibraries() const {
  return std::any_of(steps_.begin(), steps_.end(),
                     [](const Step& step) { return step.add && step.pattern.WantsLibraries(); });
}

std::vector<std::string> ProbeSet::Notes() const {
  std::vector<std::string> notes(notes_.begin(), notes_.end());
  for (const std::string& term : later_) {
    notes.push_back(absl::StrCat("function pattern \"", term,
                                 "\": no such library is loaded; its functions are hooked when the "
                                 "program loads it"));
  }
  return notes;
}

std::vector<trace::v1::Refusal> ProbeSet::refusals() const {
  RefusalSummary summary = refusals_;
  return summary.Take();
}

}  // namespace flightrec::tracer
