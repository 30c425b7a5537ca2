// Every kind of stub, interrupted and left in other ways than by returning.

#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "services/tracer/lane/clock_publisher.h"
#include "services/tracer/target/launched_program.h"
#include "services/tracer/target/traced_process.h"

namespace flightrec::target {
namespace {

constexpr char kControlFlow[] = "services/tracer/target/testdata/control_flow";

Outcome RunScenario(LaunchedProgram& program, const std::string& scenario) {
  return program.Start({scenario}) ? program.RunToEnd() : Outcome();
}

// A kind of stub, by how it is asked for.
struct Mode {
  const char* name;
  bool coarse;
  CallFilter filter;
};

class StubModes : public testing::TestWithParam<Mode> {
 protected:
  StubModes() : program_(kControlFlow) {
    if (GetParam().coarse) program_.options().coarse_clock = &clock_;
    program_.options().filter = GetParam().filter;
  }

  lane::ClockPublisher clock_;
  LaunchedProgram program_;
};

constexpr uint64_t kForever = uint64_t{1} << 60;

INSTANTIATE_TEST_SUITE_P(Each, StubModes,
                         testing::Values(Mode{"exact", false, {}}, Mode{"coarse", true, {}},
                                         Mode{"kept", false, {1, 100, {"*"}}},
                                         Mode{"too_short", true, {kForever, 100, {"*"}}},
                                         Mode{"too_deep", true, {0, 2, {}}},
                                         Mode{"muted", false, {0, 0, {"nobody"}}}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(StubModes, handler_behind_every_instruction_of_the_stubs__then_counts_are_exact) {
  EXPECT_EQ(RunScenario(program_, "step_through").exit_code, 0);
  unsigned long rounds = 0;
  unsigned long acted = 0;
  ASSERT_EQ(std::sscanf(program_.output().c_str(), "%lu %lu", &rounds, &acted), 2);
  EXPECT_GT(acted, 30u);
  const CallCounts outer = program_.counts("TailLeaf");
  const CallCounts inner = program_.counts("Leaf");
  EXPECT_EQ(outer.recorded + outer.filtered, rounds + acted);
  EXPECT_EQ(inner.recorded + inner.filtered, rounds + acted);
  if (!GetParam().filter.leaves_out()) {
    EXPECT_GT(acted, 200u);
    EXPECT_EQ(outer.filtered + inner.filtered, 0u);
  }
}

TEST_P(StubModes, longjmp_behind_every_instruction_of_the_stubs__then_nothing_is_stuck) {
  EXPECT_EQ(RunScenario(program_, "step_and_jump").exit_code, 0);
  unsigned long rounds = 0;
  ASSERT_EQ(std::sscanf(program_.output().c_str(), "%lu", &rounds), 1);
  EXPECT_GT(rounds, 30u);
  // A call left before its stub had noted it is none; no call is there twice.
  EXPECT_LE(program_.counts("TailLeaf").total(), rounds);
  EXPECT_LE(program_.counts("Leaf").total(), 1000 + rounds);
  const CallCounts leaf = program_.counts("Leaf");
  EXPECT_GT(leaf.recorded + leaf.filtered, 1000u);
  const CallCounts outermost = program_.counts("JumpAtEveryStep");
  EXPECT_EQ(outermost.recorded + outermost.filtered, 1u);
}

TEST_P(StubModes, exception_through_a_prologue_with_a_call__then_caught) {
  EXPECT_EQ(RunScenario(program_, "call_first").exit_code, 1);
  EXPECT_EQ(program_.counts("CallsFirst").total(), 2u);
  EXPECT_EQ(program_.counts("ThrowOrReturn").total(), 2u);
}

TEST_P(StubModes, longjmp__then_left_calls_are_counted) {
  EXPECT_EQ(RunScenario(program_, "longjmp").exit_code, 1000 % 256);
  EXPECT_EQ(program_.counts("JumpOut").total(), 4000u);
  EXPECT_EQ(program_.counts("Leaf").total(), 1001u);
}

TEST_P(StubModes, forked_child__then_runs_on_and_counts_nothing) {
  EXPECT_EQ(RunScenario(program_, "fork").exit_code, 0);
  EXPECT_EQ(program_.output(), "child 5\n");
  EXPECT_EQ(program_.counts("Leaf").total(), 2u);
}

}  // namespace
}  // namespace flightrec::target
