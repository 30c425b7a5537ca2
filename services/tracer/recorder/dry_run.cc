#include "services/tracer/recorder/dry_run.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/tracer/pattern/function_pattern.h"
#include "services/tracer/recorder/program_plan.h"
#include "services/tracer/stub/call_cost.h"
#include "services/tracer/symbols/module_reader.h"
#include "services/tracer/target/needed_libraries.h"
#include "services/tracer/target/program.h"

namespace flightrec::tracer {
namespace {

// The program first, as when it runs.
absl::StatusOr<std::vector<target::MappedModule>> ModulesOf(
    const std::string& program, const std::vector<std::string>& environment,
    const pattern::FunctionPattern& pattern) {
  std::vector<target::MappedModule> modules(1);
  modules[0].path = program;
  modules[0].is_main_executable = true;
  const absl::StatusOr<target::NeededLibraries> libraries =
      target::FindNeededLibraries(program, environment);
  if (!libraries.ok()) return libraries.status();
  for (const std::string& missing : libraries->missing) {
    const std::string name = missing.substr(0, missing.find(','));
    if (!pattern.WantsModule(name, /*is_main_executable=*/false)) continue;
    return absl::FailedPreconditionError(
        absl::StrCat("library ", missing, ", is not found; install it or set LD_LIBRARY_PATH"));
  }
  for (const std::string& path : libraries->paths) {
    target::MappedModule& module = modules.emplace_back();
    module.path = path;
  }
  return modules;
}

capture::v1::PlanProbesResponse ToResponse(const ProgramPlan& plan) {
  capture::v1::PlanProbesResponse response;
  uint64_t matched = plan.functions.size();
  auto function = plan.functions.begin();
  for (const target::ModuleHooks& module : plan.modules) {
    for (const target::Hook& hook : module.hooks) {
      capture::v1::PlannedProbe* probe = response.add_probes();
      *probe->mutable_function() = *function++;
      probe->set_method(hook.site.sled ? capture::v1::PROBE_METHOD_SLED
                                       : capture::v1::PROBE_METHOD_INLINE);
    }
  }
  for (const trace::v1::Refusal& refusal : plan.refusals) {
    matched += refusal.functions();
    *response.add_refusals() = refusal;
  }
  response.set_functions_matched(matched);
  return response;
}

}  // namespace

absl::StatusOr<capture::v1::PlanProbesResponse> PlanExecutable(
    const std::string& executable, const std::vector<std::string>& patterns,
    const std::vector<std::string>& environment) {
  const std::vector<std::string> everything = {"*"};
  const absl::StatusOr<pattern::FunctionPattern> pattern =
      pattern::FunctionPattern::Parse(patterns.empty() ? everything : patterns);
  if (!pattern.ok()) return pattern.status();
  const absl::StatusOr<std::string> path = target::ResolveProgram(executable, "", environment);
  if (!path.ok()) return path.status();
  absl::StatusOr<symbols::Module> program = symbols::ReadModule(*path);
  if (!program.ok()) return program.status();
  const auto modules = ModulesOf(*path, environment, *pattern);
  if (!modules.ok()) return modules.status();
  const absl::StatusOr<ProgramPlan> plan = SelectAndPlan(
      *modules, std::make_shared<const symbols::Module>(*std::move(program)), *pattern);
  if (!plan.ok()) return plan.status();
  capture::v1::PlanProbesResponse response = ToResponse(*plan);
  // 0 where nothing can be hooked, and so nothing measured.
  const absl::StatusOr<double> cost = stub::MeasureCallCost();
  if (cost.ok()) response.set_expected_ns_per_call(*cost);
  return response;
}

}  // namespace flightrec::tracer
