// Leaving hooked functions in other ways than by returning.

#include <gtest/gtest.h>
#include <signal.h>

#include <cstdio>
#include <string>

#include "services/tracer/target/launched_program.h"
#include "services/tracer/target/traced_process.h"

namespace flightrec::target {
namespace {

constexpr char kControlFlow[] = "services/tracer/target/testdata/control_flow";

Outcome RunScenario(LaunchedProgram& program, const std::string& scenario) {
  return program.Start({scenario}) ? program.RunToEnd() : Outcome();
}

TEST(ControlFlow, exception_through_a_prologue_with_a_call__then_caught) {
  LaunchedProgram program(kControlFlow);
  EXPECT_EQ(RunScenario(program, "call_first").exit_code, 1);
  EXPECT_EQ(program.counts("CallsFirst").recorded, 2u);
  EXPECT_EQ(program.counts("ThrowOrReturn").recorded, 2u);
}

TEST(ControlFlow, forked_child__then_runs_on_and_counts_nothing) {
  LaunchedProgram program(kControlFlow);
  EXPECT_EQ(RunScenario(program, "fork").exit_code, 0);
  EXPECT_EQ(program.output(), "child 5\n");
  EXPECT_EQ(program.counts("Leaf").total(), 2u);
  EXPECT_EQ(program.counts("CallFirst").total(), 0u);
  EXPECT_EQ(program.counts("ForkAndCount").recorded, 1u);
}

TEST(ControlFlow, pthread_exit__then_destructors_run_and_calls_are_kept) {
  LaunchedProgram program(kControlFlow);
  EXPECT_EQ(RunScenario(program, "thread_exit").exit_code, 0);
  EXPECT_EQ(program.counts("Leaf").recorded, 2u);
  EXPECT_EQ(program.counts("_ZN5GuardD1Ev").recorded, 2u);
  EXPECT_EQ(program.counts("ExitThread").total(), 1u);
  EXPECT_EQ(program.counts("OuterOfExit").total(), 1u);
}

TEST(ControlFlow, crash__then_records_and_open_calls_remain) {
  LaunchedProgram program(kControlFlow);
  const Outcome outcome = RunScenario(program, "crash");
  EXPECT_TRUE(outcome.signaled);
  EXPECT_EQ(outcome.signal, SIGSEGV);
  EXPECT_EQ(program.counts("Leaf").recorded, 5u);
  EXPECT_EQ(program.counts("Fault").open, 4u);
  EXPECT_EQ(program.counts("main").open, 1u);
}

TEST(ControlFlow, longjmp__then_left_calls_are_recorded) {
  LaunchedProgram program(kControlFlow);
  EXPECT_EQ(RunScenario(program, "longjmp").exit_code, 1000 % 256);
  EXPECT_EQ(program.counts("JumpOut").total(), 4000u);
  EXPECT_EQ(program.counts("Leaf").recorded, 1001u);
  EXPECT_EQ(program.counts("JumpOften").recorded, 1u);
}

TEST(ControlFlow, signal_stack_inside_the_stack__then_no_live_call_is_lost) {
  LaunchedProgram program(kControlFlow);
  EXPECT_EQ(RunScenario(program, "signal_stack_inside").exit_code, 0);
  EXPECT_EQ(program.counts("OnSignal").recorded, 100u);
  EXPECT_EQ(program.counts("Leaf").recorded, 200u);
}

TEST(ControlFlow, jump_off_the_signal_stack__then_handlers_are_recorded) {
  LaunchedProgram program(kControlFlow);
  EXPECT_EQ(RunScenario(program, "signal_stack_jump").exit_code, 0);
  EXPECT_EQ(program.counts("JumpFromHandler").total(), 100u);
  EXPECT_EQ(program.counts("SignalStackJump").recorded, 1u);
}

TEST(ControlFlow, handler_interrupting_stubs__then_counts_are_exact) {
  LaunchedProgram program(kControlFlow);
  program.options().limits.ring_bytes = 8u << 20;
  EXPECT_EQ(RunScenario(program, "timer").exit_code, 0);
  unsigned long ticks = 0;
  unsigned long rounds = 0;
  ASSERT_EQ(std::sscanf(program.output().c_str(), "%lu %lu", &ticks, &rounds), 2);
  EXPECT_EQ(program.counts("OnTimer").total(), ticks);
  EXPECT_EQ(program.counts("Leaf").total(), ticks + rounds);
}

TEST(ControlFlow, coroutines__then_calls_of_both_stacks_are_recorded) {
  LaunchedProgram program(kControlFlow);
  EXPECT_EQ(RunScenario(program, "coroutines").exit_code, 0);
  EXPECT_EQ(program.counts("Resume").total(), 101u);
  EXPECT_EQ(program.counts("Leaf").total(), 201u);
  EXPECT_EQ(program.counts("Coroutine").total(), 1u);
}

TEST(ControlFlow, children_that_share_the_memory__then_their_entries_are_reclaimed) {
  LaunchedProgram program(kControlFlow);
  program.options().limits.shadow_entries = 128;
  EXPECT_EQ(RunScenario(program, "share_memory").exit_code, 0);
  EXPECT_EQ(program.counts("Child").total(), 300u);
  EXPECT_EQ(program.counts("Child").dropped, 0u);
  EXPECT_EQ(program.counts("Leaf").recorded, 300u);
}

}  // namespace
}  // namespace flightrec::target
