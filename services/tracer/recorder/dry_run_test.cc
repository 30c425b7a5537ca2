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

// This test is linked with gRPC's and protobuf's libraries.
TEST(DryRun, more_functions_than_a_message_takes__then_pages_of_all_with_the_totals_on_each) {
  PlanPage page;
  uint64_t given = 0;
  int pages = 0;
  std::string last;
  do {
    const auto plan = PlanExecutable("/proc/self/exe", {}, {}, page);
    ASSERT_TRUE(plan.ok()) << plan.status();
    EXPECT_LT(plan->ByteSizeLong(), 2 * kMaxPlanBytes);
    ASSERT_GT(plan->probes_size(), 0);
    EXPECT_NE(plan->probes(0).function().symbol(), last);
    last = plan->probes(plan->probes_size() - 1).function().symbol();
    given += static_cast<uint64_t>(plan->probes_size());
    page.token = plan->next_page_token();
    ++pages;
    uint64_t hooked = 0;
    for (const capture::v1::PlannedMethod& method : plan->methods()) hooked += method.functions();
    EXPECT_EQ(hooked, plan->functions_hooked());
    if (page.token.empty()) {
      EXPECT_EQ(given, hooked);
    }
  } while (!page.token.empty());
  EXPECT_GT(pages, 1);
}

TEST(DryRun, page_of_another_plan__then_invalid_argument) {
  const auto first = PlanExecutable(kColdParts, {"libc.so*:mem*"}, {}, {1, ""});
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->probes_size(), 1);
  const PlanPage next = {1, first->next_page_token()};
  EXPECT_TRUE(PlanExecutable(kColdParts, {"libc.so*:mem*"}, {}, next).ok());
  EXPECT_EQ(PlanExecutable(kColdParts, {"libc.so*:str*"}, {}, next).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(DryRun, no_such_program_or_function__then_not_found) {
  EXPECT_EQ(PlanExecutable("/no/such/program", {}, {}).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(PlanExecutable(kColdParts, {"nothing_like_it"}, {}).status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace flightrec::tracer
