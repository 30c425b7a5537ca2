// Functions and refusals in the words of the contract. Stateless; a RefusalSummary is for one
// thread.

#ifndef SERVICES_TRACER_RECORDER_PROBE_PLAN_H_
#define SERVICES_TRACER_RECORDER_PROBE_PLAN_H_

#include <vector>

#include "absl/types/span.h"
#include "common/ids/entity_id.h"
#include "flightrec/trace/v1/trace.pb.h"
#include "services/tracer/patch/refusal.h"
#include "services/tracer/symbols/module.h"
#include "services/tracer/symbols/source_lines.h"

namespace flightrec::tracer {

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
