#include "services/tracer/recorder/dry_run.h"

#include <memory>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/tracer/pattern/function_pattern.h"
#include "services/tracer/recorder/probe_plan.h"
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

capture::v1::ProbeMethod MethodOf(const target::Hook& hook) {
  return hook.site.sled ? capture::v1::PROBE_METHOD_SLED : capture::v1::PROBE_METHOD_INLINE;
}

void AddTotals(const ProgramPlan& plan, capture::v1::PlanProbesResponse& response) {
  capture::v1::PlannedMethod methods[2];
  methods[0].set_method(capture::v1::PROBE_METHOD_INLINE);
  methods[1].set_method(capture::v1::PROBE_METHOD_SLED);
  auto function = plan.functions.begin();
  for (const target::ModuleHooks& module : plan.modules) {
    for (const target::Hook& hook : module.hooks) {
      capture::v1::PlannedMethod& method = methods[hook.site.sled ? 1 : 0];
      method.set_functions(method.functions() + 1);
      if (method.examples_size() < kExamples) method.add_examples(function->name());
      ++function;
    }
  }
  for (capture::v1::PlannedMethod& method : methods) {
    if (method.functions() > 0) *response.add_methods() = std::move(method);
  }
  uint64_t matched = plan.functions.size();
  for (const trace::v1::Refusal& refusal : plan.refusals) {
    matched += refusal.functions();
    *response.add_refusals() = refusal;
  }
  response.set_functions_hooked(plan.functions.size());
  response.set_functions_matched(matched);
}

// Says of a token whether it belongs to these functions in this order.
std::string Fingerprint(const ProgramPlan& plan) {
  constexpr uint64_t kPrime = 0x100000001b3;
  uint64_t sum = 0xcbf29ce484222325;
  for (const trace::v1::Function& function : plan.functions)
    sum = (sum ^ function.function_id()) * kPrime;
  return absl::StrCat(absl::Hex(sum));
}

// A token is the place of the page's first probe, a hyphen, the fingerprint.
absl::StatusOr<size_t> FirstOf(const PlanPage& page, const std::string& fingerprint) {
  if (page.token.empty()) return 0;
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(page.token, absl::MaxSplits('-', 1));
  size_t first = 0;
  if (absl::SimpleAtoi(parts.first, &first) && parts.second == fingerprint) return first;
  return absl::InvalidArgumentError(
      absl::StrCat("page_token '", page.token,
                   "' is of another plan; ask the same question as before, or begin without it if "
                   "the program was replaced"));
}

absl::Status AddPage(const ProgramPlan& plan, const PlanPage& page,
                     capture::v1::PlanProbesResponse& response) {
  const std::string fingerprint = Fingerprint(plan);
  const absl::StatusOr<size_t> first = FirstOf(page, fingerprint);
  if (!first.ok()) return first.status();
  size_t place = 0;
  size_t bytes = 0;
  for (const target::ModuleHooks& module : plan.modules) {
    for (const target::Hook& hook : module.hooks) {
      const size_t here = place++;
      if (here < *first) continue;
      capture::v1::PlannedProbe probe;
      *probe.mutable_function() = plan.functions[here];
      probe.set_method(MethodOf(hook));
      bytes += probe.ByteSizeLong();
      const bool full = bytes > kMaxPlanBytes || response.probes_size() == page.most;
      if (response.probes_size() > 0 && full) {
        response.set_next_page_token(absl::StrCat(here, "-", fingerprint));
        return absl::OkStatus();
      }
      *response.add_probes() = std::move(probe);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<capture::v1::PlanProbesResponse> PlanExecutable(
    const std::string& executable, const std::vector<std::string>& patterns,
    const std::vector<std::string>& environment, const PlanPage& page) {
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
  capture::v1::PlanProbesResponse response;
  AddTotals(*plan, response);
  const absl::Status paged = AddPage(*plan, page, response);
  if (!paged.ok()) return paged;
  // 0 where nothing can be hooked, and so nothing measured.
  const absl::StatusOr<double> cost = stub::MeasureCallCost();
  if (cost.ok()) response.set_expected_ns_per_call(*cost);
  return response;
}

}  // namespace flightrec::tracer
