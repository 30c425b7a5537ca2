#include "services/tracer/recorder/probe_plan.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "services/tracer/symbols/source_lines.h"

namespace flightrec::tracer {
namespace {

absl::string_view BuildId(const symbols::Module& module) {
  return absl::string_view(reinterpret_cast<const char*>(module.build_id.data()),
                           module.build_id.size());
}

}  // namespace

ids::FunctionId FunctionIdOf(const symbols::Module& module, const symbols::Function& function) {
  return ids::ComputeFunctionId(BuildId(module), function.offset);
}

trace::v1::Function ToProto(const symbols::Module& module, const symbols::Function& function,
                            const symbols::SourceLines& lines) {
  trace::v1::Function proto;
  proto.set_function_id(FunctionIdOf(module, function));
  proto.set_name(function.name);
  proto.set_symbol(function.symbol);
  proto.set_module(module.Basename());
  proto.set_build_id(absl::BytesToHexString(BuildId(module)));
  proto.set_offset(function.offset);
  proto.set_size(function.size_inferred ? 0 : function.size);
  const symbols::SourceLine line = lines.At(function.offset);
  proto.set_source_file(std::string(line.file));
  proto.set_source_line(line.line);
  return proto;
}

void RefusalSummary::Add(const symbols::Module& module, absl::Span<const patch::Refusal> refusals) {
  for (const patch::Refusal& refusal : refusals)
    Add(refusal.reason, module.functions[refusal.function].name);
}

void RefusalSummary::Add(patch::RefusalReason reason, const std::string& name) {
  const absl::string_view reason_name = patch::ReasonName(reason);
  auto known = std::find_if(
      by_reason_.begin(), by_reason_.end(),
      [&](const trace::v1::Refusal& summary) { return summary.reason() == reason_name; });
  if (known == by_reason_.end()) {
    known = by_reason_.emplace(by_reason_.end());
    known->set_reason(std::string(reason_name));
    known->set_description(std::string(patch::ReasonSentence(reason)));
  }
  known->set_functions(known->functions() + 1);
  if (known->examples_size() < kExamples) known->add_examples(name);
}

std::vector<trace::v1::Refusal> RefusalSummary::Take() {
  std::stable_sort(by_reason_.begin(), by_reason_.end(),
                   [](const trace::v1::Refusal& a, const trace::v1::Refusal& b) {
                     return a.functions() > b.functions();
                   });
  return std::exchange(by_reason_, {});
}

}  // namespace flightrec::tracer
