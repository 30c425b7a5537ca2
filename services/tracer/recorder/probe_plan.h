// The dry run: what a set of patterns would hook in a program, what not and why. Stateless, changes
// nothing.

#ifndef SERVICES_TRACER_RECORDER_PROBE_PLAN_H_
#define SERVICES_TRACER_RECORDER_PROBE_PLAN_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/ids/entity_id.h"
#include "flightrec/capture/v1/capture.pb.h"
#include "flightrec/trace/v1/trace.pb.h"
#include "services/tracer/patch/refusal.h"
#include "services/tracer/symbols/module.h"
#include "services/tracer/symbols/source_lines.h"

namespace flightrec::tracer {

// Errors are those of symbols::ReadModule and pattern::FunctionPattern. Libraries are not looked
// at: which ones a program loads is known only when it runs.
absl::StatusOr<capture::v1::PlanProbesResponse> PlanExecutable(
    const std::string& executable, const std::vector<std::string>& patterns);

ids::FunctionId FunctionIdOf(const symbols::Module& module, const symbols::Function& function);

trace::v1::Function ToProto(const symbols::Module& module, const symbols::Function& function,
                            const symbols::SourceLines& lines);

// Adds refusals of one module up by reason; for users, with up to kExamples names each.
inline constexpr int kExamples = 10;
class RefusalSummary {
 public:
  void Add(const symbols::Module& module, absl::Span<const patch::Refusal> refusals);
  void Add(patch::RefusalReason reason, const std::string& name);
  // Most functions first.
  std::vector<trace::v1::Refusal> Take();

 private:
  std::vector<trace::v1::Refusal> by_reason_;
};

}  // namespace flightrec::tracer

#endif  // SERVICES_TRACER_RECORDER_PROBE_PLAN_H_
