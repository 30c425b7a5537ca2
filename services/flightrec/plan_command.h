// `flightrec plan`: what `flightrec run` with the same patterns would hook, as a
// table. Asks the tracer over gRPC; the program does not run. Single-threaded.

#ifndef SERVICES_FLIGHTREC_PLAN_COMMAND_H_
#define SERVICES_FLIGHTREC_PLAN_COMMAND_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "flightrec/capture/v1/capture.grpc.pb.h"
#include "services/flightrec/command_line.h"
#include "services/flightrec/views.h"

namespace flightrec::cli {

using CaptureStub = capture::v1::CaptureService::StubInterface;

// One including pattern of the command line with the exclusions, which hold for all.
struct PlanQuestion {
  std::string label;
  std::vector<std::string> patterns;
};

// At least one. INVALID_ARGUMENT beyond kMaxPlanPatterns.
inline constexpr size_t kMaxPlanPatterns = 100;
absl::StatusOr<std::vector<PlanQuestion>> PlanQuestions(const std::vector<std::string>& patterns);

// A row for each pattern and what becomes of its functions: how they are hooked,
// or why not. A function that several patterns name is in the rows of each.
absl::StatusOr<View> Plan(CaptureStub& capture, const CommandLine& line);

}  // namespace flightrec::cli

#endif  // SERVICES_FLIGHTREC_PLAN_COMMAND_H_
