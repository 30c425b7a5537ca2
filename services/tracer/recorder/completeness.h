// Says in the words of the contract what a recording lacks. Stateless functions.

#ifndef SERVICES_TRACER_RECORDER_COMPLETENESS_H_
#define SERVICES_TRACER_RECORDER_COMPLETENESS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "flightrec/trace/v1/trace.pb.h"
#include "services/tracer/drain/drain_totals.h"
#include "services/tracer/lane/lane_reader.h"
#include "services/tracer/target/hook_installer.h"

namespace flightrec::tracer {

inline constexpr int kMaxLostFunctions = 100;

// Hooks and states are the caller's to add.
trace::v1::Completeness DescribeCompleteness(const drain::DrainTotals& totals,
                                             const lane::Refusals& refusals, uint32_t thread_limit);

// Children record nothing. `uncounted` are functions whose children are not counted either.
void AddChildren(const lane::ProcessStarts& starts, const std::vector<std::string>& uncounted,
                 trace::v1::Completeness& completeness);

// Planned hooks that could not be set are refusals too.
void AddFailures(const std::vector<target::HookFailure>& failures,
                 const std::vector<trace::v1::Function>& functions,
                 trace::v1::Completeness& completeness);

}  // namespace flightrec::tracer

#endif  // SERVICES_TRACER_RECORDER_COMPLETENESS_H_
