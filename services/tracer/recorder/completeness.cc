#include "services/tracer/recorder/completeness.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "services/tracer/recorder/probe_plan.h"

namespace flightrec::tracer {

trace::v1::Completeness DescribeCompleteness(const drain::DrainTotals& totals,
                                             const lane::Refusals& refusals,
                                             uint32_t thread_limit) {
  trace::v1::Completeness completeness;
  completeness.set_calls_recorded(totals.calls);
  completeness.set_calls_lost(totals.lost() - totals.lost_too_deep);
  completeness.set_calls_too_deep(totals.lost_too_deep);
  completeness.set_calls_open(totals.open_calls);
  completeness.set_calls_filtered(totals.filtered);
  std::vector<std::pair<uint64_t, ids::FunctionId>> lost;
  for (const auto& function : totals.lost_by_function)
    lost.emplace_back(function.second, function.first);
  std::sort(lost.rbegin(), lost.rend());
  if (lost.size() > kMaxLostFunctions) lost.resize(kMaxLostFunctions);
  for (const auto& [calls, function] : lost) {
    trace::v1::LostCalls* proto = completeness.add_lost_by_function();
    proto->set_function_id(function);
    proto->set_calls(calls);
  }
  completeness.set_threads_refused(refusals.by_limit + refusals.by_memory);
  if (refusals.by_limit > 0) {
    completeness.set_thread_limit_message(absl::StrCat(
        "Thread limit exceeded: ", thread_limit + refusals.by_limit, " > ", thread_limit));
  }
  if (refusals.by_memory > 0) {
    completeness.add_notes(absl::StrCat(
        refusals.by_memory, " threads were not recorded: tmpfs had no room for their lanes"));
  }
  return completeness;
}

void AddChildren(const lane::ProcessStarts& starts, const std::vector<std::string>& uncounted,
                 trace::v1::Completeness& completeness) {
  const std::pair<const char*, uint64_t> kinds[] = {{"fork", starts.fork},
                                                    {"vfork", starts.vfork},
                                                    {"posix_spawn", starts.posix_spawn},
                                                    {"clone", starts.clone}};
  uint64_t children = 0;
  for (const auto& [start, processes] : kinds) {
    if (processes == 0) continue;
    children += processes;
    trace::v1::UntracedChildren* kind = completeness.add_untraced_children();
    kind->set_start(start);
    kind->set_processes(processes);
  }
  completeness.set_children_not_traced(children);
  if (!uncounted.empty()) {
    completeness.add_notes(absl::StrCat("child processes started by ",
                                        absl::StrJoin(uncounted, ", "), " are not counted"));
  }
}

void AddFailures(const std::vector<target::HookFailure>& failures,
                 const std::vector<trace::v1::Function>& functions,
                 trace::v1::Completeness& completeness) {
  if (failures.empty()) return;
  trace::v1::Refusal* refusal = completeness.add_refusals();
  refusal->set_reason("NOT_PLACED");
  refusal->set_description(
      absl::StrCat("the hook could not be placed in this process: ", failures.front().cause));
  refusal->set_functions(failures.size());
  for (const target::HookFailure& failure : failures) {
    if (refusal->examples_size() == kExamples) break;
    refusal->add_examples(functions[failure.function_index].name());
  }
}

}  // namespace flightrec::tracer
