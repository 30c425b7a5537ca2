// Which functions of a program and its libraries are hooked: patterns and planner put together for
// one launch. Values; stateless functions; starts nothing.

#ifndef SERVICES_TRACER_RECORDER_PROGRAM_PLAN_H_
#define SERVICES_TRACER_RECORDER_PROGRAM_PLAN_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/ids/entity_id.h"
#include "flightrec/trace/v1/trace.pb.h"
#include "services/tracer/patch/refusal.h"
#include "services/tracer/pattern/function_pattern.h"
#include "services/tracer/symbols/module.h"
#include "services/tracer/target/traced_process.h"

namespace flightrec::tracer {

struct RefusedFunction {
  ids::FunctionId function_id = 0;
  patch::RefusalReason reason = {};
  std::string name;
};

struct ProgramPlan {
  std::vector<target::ModuleHooks> modules;
  // By the function index of the lane's records: the hooks of all modules in order.
  std::vector<trace::v1::Function> functions;
  std::vector<trace::v1::Refusal> refusals;
  // What is wrong with the debug information, a sentence each.
  std::vector<std::string> notes;
  // The functions behind `refusals`.
  std::vector<RefusedFunction> refused;
  // Patterns for libraries that are not there yet.
  std::vector<std::string> later;
};

// `modules`: what is mapped; `program`: the main executable, read already, if it is among them.
// NOT_FOUND when a pattern matches nothing, as `unmatched` has it.
absl::StatusOr<ProgramPlan> SelectAndPlan(
    absl::Span<const target::MappedModule> modules, std::shared_ptr<const symbols::Module> program,
    const pattern::FunctionPattern& pattern,
    pattern::Unmatched unmatched = pattern::Unmatched::kRefuseUnlessLater);

// The same; FAILED_PRECONDITION when no function can be hooked, unless `unmatched` is kIgnore.
absl::StatusOr<ProgramPlan> PlanProgram(
    absl::Span<const target::MappedModule> modules, std::shared_ptr<const symbols::Module> program,
    const pattern::FunctionPattern& pattern,
    pattern::Unmatched unmatched = pattern::Unmatched::kRefuseUnlessLater);

// All functions that the pattern names, whether they can be hooked or not. Errors as above.
absl::StatusOr<absl::flat_hash_set<ids::FunctionId>> SelectFunctions(
    absl::Span<const target::MappedModule> modules, std::shared_ptr<const symbols::Module> program,
    const pattern::FunctionPattern& pattern, pattern::Unmatched unmatched);

}  // namespace flightrec::tracer

#endif  // SERVICES_TRACER_RECORDER_PROGRAM_PLAN_H_
