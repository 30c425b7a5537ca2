// The dry run: what a set of patterns would hook in a program and in the
// libraries it would load, how, what not and why, and what a call would cost.
// Stateless; runs nothing of the program, changes nothing.

#ifndef SERVICES_TRACER_RECORDER_DRY_RUN_H_
#define SERVICES_TRACER_RECORDER_DRY_RUN_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "flightrec/capture/v1/capture.pb.h"

namespace flightrec::tracer {

// Of probes in one answer.
inline constexpr size_t kMaxPlanBytes = size_t{1} << 20;

struct PlanPage {
  int most = 0;       // 0: as many as fit
  std::string token;  // next_page_token of the page before; empty: the first. INVALID_ARGUMENT: of
                      // another plan
};

// `executable` is looked up as Launch does, in this environment. Errors are those of
// target::ResolveProgram, symbols::ReadModule and pattern::FunctionPattern; FAILED_PRECONDITION
// when a library that a pattern may name is not found. Libraries loaded by dlopen are not known
// before the program runs.
absl::StatusOr<capture::v1::PlanProbesResponse> PlanExecutable(
    const std::string& executable, const std::vector<std::string>& patterns,
    const std::vector<std::string>& environment, const PlanPage& page = PlanPage());

}  // namespace flightrec::tracer

#endif  // SERVICES_TRACER_RECORDER_DRY_RUN_H_
