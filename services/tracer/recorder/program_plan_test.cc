#include "services/tracer/recorder/program_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "services/tracer/symbols/module_reader.h"

namespace flightrec::tracer {
namespace {

using ::testing::HasSubstr;

constexpr char kColdParts[] = "tests/targets/cold_parts";

absl::StatusOr<ProgramPlan> PlanColdParts(const std::vector<std::string>& patterns) {
  absl::StatusOr<pattern::FunctionPattern> pattern = pattern::FunctionPattern::Parse(patterns);
  if (!pattern.ok()) return pattern.status();
  absl::StatusOr<symbols::Module> program = symbols::ReadModule(kColdParts);
  if (!program.ok()) return program.status();
  return PlanProgram(
      {{kColdParts, /*base=*/0, /*is_main_executable=*/true, /*end=*/0, /*file=*/""}},
      std::make_shared<const symbols::Module>(*std::move(program)), *pattern);
}

TEST(ProgramPlan, program_with_cold_parts__then_they_are_refused_by_name_and_not_hooked) {
  absl::StatusOr<ProgramPlan> plan = PlanColdParts({"*"});
  ASSERT_TRUE(plan.ok()) << plan.status();
  for (const trace::v1::Function& function : plan->functions)
    EXPECT_EQ(function.symbol().find(".cold"), std::string::npos);
  bool refused = false;
  for (const trace::v1::Refusal& refusal : plan->refusals)
    refused |= refusal.reason() == "COLD_FRAGMENT";
  EXPECT_TRUE(refused);
}

TEST(ProgramPlan, functions_and_hooks__then_have_the_same_index) {
  absl::StatusOr<ProgramPlan> plan = PlanColdParts({"*"});
  ASSERT_TRUE(plan.ok()) << plan.status();
  ASSERT_EQ(plan->modules.size(), 1u);
  ASSERT_EQ(plan->modules[0].hooks.size(), plan->functions.size());
  for (size_t i = 0; i < plan->functions.size(); ++i) {
    EXPECT_EQ(plan->modules[0].hooks[i].function_id, plan->functions[i].function_id());
  }
}

TEST(ProgramPlan, pattern_matches_nothing__then_not_found_names_it) {
  absl::StatusOr<ProgramPlan> plan = PlanColdParts({"no_such_function"});
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(plan.status().message(), HasSubstr("no_such_function"));
}

TEST(ProgramPlan, only_functions_that_cannot_be_hooked__then_says_why) {
  absl::StatusOr<ProgramPlan> plan = PlanColdParts({"_start"});
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(plan.status().message(), HasSubstr("It starts the program and has no caller"));
}

}  // namespace
}  // namespace flightrec::tracer
