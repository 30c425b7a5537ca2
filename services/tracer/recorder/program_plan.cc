#include "services/tracer/recorder/program_plan.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/tracer/patch/planner.h"
#include "services/tracer/recorder/probe_plan.h"
#include "services/tracer/symbols/source_lines.h"
#include "services/tracer/target/mapped_modules.h"

namespace flightrec::tracer {
namespace {

struct WantedModule {
  const target::MappedModule* mapped;
  std::shared_ptr<const symbols::Module> module;
  // Of all functions when the pattern asks for them, else nullptr.
  std::unique_ptr<const symbols::SourceLines> lines;
};

// Reads the modules that the pattern could select functions of.
absl::StatusOr<std::vector<WantedModule>> ReadWanted(absl::Span<const target::MappedModule> modules,
                                                     std::shared_ptr<const symbols::Module> program,
                                                     const pattern::FunctionPattern& pattern) {
  std::vector<WantedModule> wanted;
  for (const target::MappedModule& mapped : modules) {
    if (!pattern.WantsModule(mapped.path, mapped.is_main_executable)) continue;
    WantedModule& one = wanted.emplace_back();
    one.mapped = &mapped;
    one.module = program;
    if (!mapped.is_main_executable) {
      absl::StatusOr<symbols::Module> module = target::ReadMappedModule(mapped);
      if (!module.ok()) return module.status();
      one.module = std::make_shared<const symbols::Module>(*std::move(module));
    }
    if (pattern.WantsLines(mapped.path, mapped.is_main_executable)) {
      one.lines =
          std::make_unique<const symbols::SourceLines>(symbols::ReadSourceLines(*one.module));
    }
  }
  return wanted;
}

// A program of which nothing is known is not only a pattern that matches nothing.
absl::Status CheckHasFunctions(const std::vector<WantedModule>& wanted) {
  if (wanted.empty() || !wanted.front().mapped->is_main_executable) return absl::OkStatus();
  const symbols::Module& program = *wanted.front().module;
  if (!program.functions.empty()) return absl::OkStatus();
  if (program.has_go_runtime) {
    return absl::FailedPreconditionError(
        absl::StrCat(program.path,
                     " is a Go program: its stacks move, return addresses included, so that hooks "
                     "would break it; use its own profiler (net/http/pprof)"));
  }
  return absl::FailedPreconditionError(
      absl::StrCat(program.path,
                   " has neither symbols nor unwind information (.eh_frame), so that its functions "
                   "are not known; install its debug symbols, or link it without -s"));
}

void AddNotes(const symbols::Module& module, const symbols::SourceLines& lines,
              std::vector<std::string>& notes) {
  notes.insert(notes.end(), module.notes.begin(), module.notes.end());
  if (!lines.note().empty()) notes.push_back(lines.note());
}

std::vector<pattern::ModuleRef> References(const std::vector<WantedModule>& wanted) {
  std::vector<pattern::ModuleRef> references;
  for (const WantedModule& one : wanted)
    references.push_back({one.module.get(), one.mapped->is_main_executable, one.lines.get()});
  return references;
}

}  // namespace

absl::StatusOr<ProgramPlan> SelectAndPlan(absl::Span<const target::MappedModule> modules,
                                          std::shared_ptr<const symbols::Module> program,
                                          const pattern::FunctionPattern& pattern,
                                          pattern::Unmatched unmatched) {
  // A static program loads no library.
  if (unmatched == pattern::Unmatched::kRefuseUnlessLater && modules.size() == 1)
    unmatched = pattern::Unmatched::kRefuse;
  absl::StatusOr<std::vector<WantedModule>> wanted =
      ReadWanted(modules, std::move(program), pattern);
  if (!wanted.ok()) return wanted.status();
  const absl::Status known = CheckHasFunctions(*wanted);
  if (!known.ok()) return known;
  const std::vector<pattern::ModuleRef> references = References(*wanted);
  absl::StatusOr<std::vector<pattern::Selection>> selected = pattern.Select(references, unmatched);
  if (!selected.ok()) return selected.status();

  ProgramPlan plan;
  if (unmatched != pattern::Unmatched::kRefuse) plan.later = pattern.LaterTerms(references);
  RefusalSummary refusals;
  for (const pattern::Selection& selection : *selected) {
    WantedModule& one = (*wanted)[selection.module];
    if (one.lines == nullptr) {
      one.lines = std::make_unique<const symbols::SourceLines>(
          symbols::ReadSourceLines(*one.module, selection.functions));
    }
    AddNotes(*one.module, *one.lines, plan.notes);
    const patch::Planner planner(*one.module);
    patch::PlanResult planned = planner.Plan(selection.functions);
    target::ModuleHooks& hooks = plan.modules.emplace_back();
    hooks.module = one.module;
    hooks.base = one.mapped->base;
    for (patch::Site& site : planned.sites) {
      plan.functions.push_back(
          ToProto(*one.module, one.module->functions[site.function], *one.lines));
      hooks.hooks.push_back({std::move(site), plan.functions.back().function_id()});
    }
    refusals.Add(*one.module, planned.refusals);
    for (const patch::Refusal& refusal : planned.refusals) {
      const symbols::Function& function = one.module->functions[refusal.function];
      plan.refused.push_back({FunctionIdOf(*one.module, function), refusal.reason, function.name});
    }
  }
  plan.refusals = refusals.Take();
  return plan;
}

absl::StatusOr<ProgramPlan> PlanProgram(absl::Span<const target::MappedModule> modules,
                                        std::shared_ptr<const symbols::Module> program,
                                        const pattern::FunctionPattern& pattern,
                                        pattern::Unmatched unmatched) {
  absl::StatusOr<ProgramPlan> plan = SelectAndPlan(modules, std::move(program), pattern, unmatched);
  if (!plan.ok() || unmatched == pattern::Unmatched::kIgnore) return plan;
  if (!plan->functions.empty() || plan->refusals.empty()) return plan;
  const trace::v1::Refusal& first = plan->refusals.front();
  return absl::FailedPreconditionError(absl::StrCat(
      "no function can be hooked: ", first.functions(), " of those asked for are refused: ",
      absl::StripSuffix(first.description(), "."), "; choose others with -f"));
}

absl::StatusOr<absl::flat_hash_set<ids::FunctionId>> SelectFunctions(
    absl::Span<const target::MappedModule> modules, std::shared_ptr<const symbols::Module> program,
    const pattern::FunctionPattern& pattern, pattern::Unmatched unmatched) {
  absl::StatusOr<std::vector<WantedModule>> wanted =
      ReadWanted(modules, std::move(program), pattern);
  if (!wanted.ok()) return wanted.status();
  absl::StatusOr<std::vector<pattern::Selection>> selected =
      pattern.Select(References(*wanted), unmatched);
  if (!selected.ok()) return selected.status();
  absl::flat_hash_set<ids::FunctionId> functions;
  for (const pattern::Selection& selection : *selected) {
    const symbols::Module& module = *(*wanted)[selection.module].module;
    for (const uint32_t index : selection.functions)
      functions.insert(FunctionIdOf(module, module.functions[index]));
  }
  return functions;
}

}  // namespace flightrec::tracer
