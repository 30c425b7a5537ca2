// Which functions of a program and its libraries are hooked: patterns and planner put together for
// one launch. Values; stateless functions; starts nothing.

#ifndef SERVICES_TRACER_RECORDER_PROGRAM_PLAN_H_
#define SERVICES_TRACER_RECORDER_PROGRAM_PLAN_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "flightrec/trace/v1/trace.pb.h"
#include "services/tracer/pattern/function_pattern.h"
#include "services/tracer/symbols/module.h"
#include "services/tracer/target/traced_process.h"

namespace flightrec::tracer {

struct ProgramPlan {
  std::vector<target::ModuleHooks> modules;
  // By the function index of the lane's records: the hooks of all modules in order.
  std::vector<trace::v1::Function> functions;
  std::vector<trace::v1::Refusal> refusals;
  // What is wrong with the debug information, a sentence each.
  std::vector<std::string> notes;
};

// `modules`: what is mapped, the main executable, read already as `program`, first. NOT_FOUND when
// a pattern matches nothing; FAILED_PRECONDITION when no function can be hooked.
absl::StatusOr<ProgramPlan> PlanProgram(absl::Span<const target::MappedModule> modules,
                                        std::shared_ptr<const symbols::Module> program,
                                        const pattern::FunctionPattern& pattern);

}  // namespace flightrec::tracer

#endif  // SERVICES_TRACER_RECORDER_PROGRAM_PLAN_H_
