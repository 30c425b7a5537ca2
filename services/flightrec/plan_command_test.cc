#include "services/flightrec/plan_command.h"

#include "gtest/gtest.h"

namespace flightrec::cli {
namespace {

TEST(PlanQuestions, no_pattern__then_everything_of_the_program) {
  const auto questions = PlanQuestions({});
  ASSERT_TRUE(questions.ok());
  ASSERT_EQ(questions->size(), 1u);
  EXPECT_EQ(questions->front().patterns, std::vector<std::string>{"*"});
}

TEST(PlanQuestions, several_patterns__then_one_question_each_with_all_exclusions) {
  const auto questions = PlanQuestions({"a*", "!ab", "libz*:inflate"});
  ASSERT_TRUE(questions.ok());
  ASSERT_EQ(questions->size(), 2u);
  EXPECT_EQ((*questions)[0].patterns, (std::vector<std::string>{"a*", "!ab"}));
  EXPECT_EQ((*questions)[1].label, "libz*:inflate");
  EXPECT_EQ((*questions)[1].patterns, (std::vector<std::string>{"libz*:inflate", "!ab"}));
}

TEST(PlanQuestions, more_than_the_limit__then_invalid_argument) {
  EXPECT_EQ(PlanQuestions(std::vector<std::string>(kMaxPlanPatterns + 1, "a")).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace flightrec::cli
