#include "services/tracer/recorder/dry_run.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"

namespace flightrec::tracer {
namespace {

constexpr char kColdParts[] = "tests/targets/cold_parts";

TEST(DryRun, program__then_every_matched_function_is_hooked_or_refused_with_a_cost) {
  const auto plan = PlanExecutable(kColdParts, {}, {});
  ASSERT_TRUE(plan.ok()) << plan.status();
  uint64_t refused = 0;
  for (const trace::v1::Refusal& refusal : plan->refusals()) refused += refusal.functions();
  EXPECT_GT(plan->probes_size(), 0);
  EXPECT_EQ(plan->functions_matched(), static_cast<uint64_t>(plan->probes_size()) + refused);
  EXPECT_EQ(plan->probes(0).method(), capture::v1::PROBE_METHOD_INLINE);
  EXPECT_GT(plan->expected_ns_per_call(), 0);
}

TEST(DryRun, library_pattern__then_functions_of_the_library_that_would_be_loaded) {
  const auto plan = PlanExecutable(kColdParts, {"libc.so*:malloc", "libc.so*:vfork"}, {});
  ASSERT_TRUE(plan.ok()) << plan.status();
  ASSERT_EQ(plan->probes_size(), 1);
  EXPECT_TRUE(absl::StartsWith(plan->probes(0).function().module(), "libc.so"));
  EXPECT_EQ(plan->probes(0).function().name(), "malloc");
  ASSERT_EQ(plan->refusals_size(), 1);
  EXPECT_EQ(plan->refusals(0).reason(), "RETURNS_TWICE");
}

TEST(DryRun, nothing_can_be_hooked__then_refusals_and_no_error) {
  const auto plan = PlanExecutable(kColdParts, {"_start"}, {});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->probes_size(), 0);
  ASSERT_EQ(plan->refusals_size(), 1);
  EXPECT_EQ(plan->refusals(0).reason(), "PROGRAM_ENTRY");
}

TEST(DryRun, missing_library__then_an_error_only_if_a_pattern_may_name_it) {
  const std::vector<std::string> env = {"LD_PRELOAD=libnowhere.so"};
  EXPECT_TRUE(PlanExecutable(kColdParts, {"main"}, env).ok());
  const auto plan = PlanExecutable(kColdParts, {"libnowhere*:*"}, env);
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kFailedPrecondition) << plan.status();
}

TEST(DryRun, no_such_program_or_function__then_not_found) {
  EXPECT_EQ(PlanExecutable("/no/such/program", {}, {}).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(PlanExecutable(kColdParts, {"nothing_like_it"}, {}).status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace flightrec::tracer
