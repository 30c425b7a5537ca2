#include "services/tracer/target/traced_process.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "common/path/path.h"
#include "services/tracer/symbols/module_reader.h"
#include "services/tracer/target/launched_program.h"

namespace flightrec::target {
namespace {

constexpr char kKnownCounts[] = "services/tracer/target/testdata/known_counts";
constexpr char kControlFlow[] = "services/tracer/target/testdata/control_flow";

std::shared_ptr<const symbols::Module> ReadShared(const std::string& path) {
  auto module = symbols::ReadModule(path);
  EXPECT_TRUE(module.ok()) << module.status();
  return std::make_shared<const symbols::Module>(*std::move(module));
}

TEST(TracedProcess, all_functions_hooked__then_counts_are_exact) {
  LaunchedProgram program(kKnownCounts);
  ASSERT_TRUE(program.Start({}));
  const Outcome outcome = program.RunToEnd();
  EXPECT_FALSE(outcome.signaled);
  EXPECT_EQ(outcome.exit_code, 7);
  EXPECT_EQ(program.output(), "1196\n1196\n1196\n1196\n");
  const std::pair<const char*, uint64_t> expected[] = {
      {"main", 1},          {"Worker", 4},        {"Leaf", 4 * 1009}, {"Recurse", 4 * 101},
      {"Nested", 4},        {"Rethrow", 4},       {"Construct", 8},   {"ThrowAtDepth", 20},
      {"_ZN4PartC1Ei", 16}, {"_ZN4PartD1Ev", 12}, {"Sum", 4},         {"TailCaller", 4},
      {"TailTarget", 4},
  };
  for (const auto& [symbol, calls] : expected) {
    EXPECT_EQ(program.counts(symbol).recorded, calls) << symbol;
    EXPECT_EQ(program.counts(symbol).total(), calls) << symbol;
  }
  EXPECT_EQ(program.threads_seen(), 5u);
}

TEST(TracedProcess, records__then_paths_and_times_nest) {
  LaunchedProgram program(kKnownCounts);
  ASSERT_TRUE(program.Start({}));
  program.RunToEnd();
  const uint32_t tail_target = program.IndexOf("TailTarget");
  const uint32_t worker = program.IndexOf("Worker");
  const auto id = [&program](uint32_t index) { return program.hooks()[index].function_id; };
  uint64_t worker_path = 0;
  for (const lane::CallRecord& record : program.records()) {
    EXPECT_LE(record.start_ticks, record.end_ticks);
    if (record.function_index == worker) worker_path = record.path;
  }
  const uint64_t tail_caller_path = ExtendPath(worker_path, id(program.IndexOf("TailCaller")));
  int found = 0;
  for (const lane::CallRecord& record : program.records()) {
    if (record.function_index != tail_target) continue;
    EXPECT_EQ(ParentPath(record.path, id(tail_target)), tail_caller_path);
    ++found;
  }
  EXPECT_EQ(found, 4);
}

TEST(TracedProcess, environment_and_directory__then_passed_on_unchanged) {
  LaunchedProgram program(std::filesystem::current_path() / kControlFlow);
  program.options().env = {"GREETING=hello"};
  program.options().cwd = "/";
  ASSERT_TRUE(program.Start({"environment"}));
  EXPECT_EQ(program.RunToEnd().exit_code, 0);
  EXPECT_EQ(program.output(), "hello from /\n");
  EXPECT_EQ(program.error_output(), "to stderr\n");
}

TEST(TracedProcess, lane_full__then_records_and_drops_add_up) {
  LaunchedProgram program(kControlFlow);
  program.options().limits.ring_bytes = 65536;
  ASSERT_TRUE(program.Start({"loop"}));
  EXPECT_EQ(program.RunToEndUndrained().exit_code, 0);
  const CallCounts leaf = program.counts("Leaf");
  EXPECT_EQ(program.records().size(), 65536 / sizeof(lane::CallRecord));
  EXPECT_GT(leaf.recorded, 0u);
  EXPECT_EQ(leaf.total(), 100000u);
  EXPECT_EQ(program.counts("main").dropped, 1u);
}

TEST(TracedProcess, deeper_than_the_shadow_stack__then_dropped_calls_are_counted) {
  LaunchedProgram program(kControlFlow);
  program.options().limits.shadow_entries = 128;
  ASSERT_TRUE(program.Start({"depth"}));
  EXPECT_EQ(program.RunToEnd().exit_code, 0);
  const CallCounts deep = program.counts("Deep");
  // The root, main and Depth take three of the 128.
  EXPECT_EQ(deep.recorded, 125u);
  EXPECT_EQ(deep.total(), 1000u);
}

TEST(TracedProcess, more_threads_than_slots__then_refused_counted_and_right) {
  LaunchedProgram program(kControlFlow);
  program.options().limits.threads = 8;
  ASSERT_TRUE(program.Start({"many_threads"}));
  // Drained while it runs, slots of threads that end first would be free for the refused ones.
  EXPECT_EQ(program.RunToEndUndrained().exit_code, 0);
  EXPECT_EQ(program.output(), "sum 230\n");
  const lane::Refusals refusals = program.reader().refusals();
  EXPECT_EQ(refusals.by_limit, 21u - 8u);
  EXPECT_EQ(refusals.calls, 13u * 3u);
  EXPECT_EQ(program.counts("OneOfMany").recorded, 7u);
  EXPECT_EQ(program.counts("Leaf").recorded, 14u);
}

TEST(TracedProcess, slots_of_ended_threads__then_reused_without_mixing) {
  constexpr int kThreads = 40;
  LaunchedProgram program(kControlFlow);
  program.options().limits.threads = 3;
  ASSERT_TRUE(program.Start({"series"}));
  for (int i = 0; i < kThreads; ++i) {
    program.SendByte();
    while (program.DrainOnce() == 0) {
    }
  }
  EXPECT_EQ(program.RunToEnd().exit_code, 0);
  EXPECT_EQ(program.reader().refusals().by_limit, 0u);
  EXPECT_EQ(program.counts("OneOfASeries").recorded, 0u + kThreads);
  EXPECT_EQ(program.threads_seen(), 1u + kThreads);
}

TEST(TracedProcess, slots_of_ended_threads_beside_an_idle_one__then_reused) {
  constexpr int kThreads = 40;
  LaunchedProgram program(kControlFlow);
  program.options().limits.threads = 3;
  ASSERT_TRUE(program.Start({"series_beside_idle"}));
  for (int i = 0; i < kThreads; ++i) {
    program.SendByte();
    while (program.DrainOnce() == 0) {
    }
  }
  EXPECT_EQ(program.RunToEnd().exit_code, 0);
  EXPECT_EQ(program.reader().refusals().by_limit, 0u);
  EXPECT_EQ(program.counts("OneOfASeries").recorded, 0u + kThreads);
}

TEST(TracedProcess, slot_released_while_a_refused_thread_lives__then_it_is_recorded_from_there) {
  LaunchedProgram program(kControlFlow);
  program.options().limits.threads = 2;
  ASSERT_TRUE(program.Start({"second_chance"}));
  while (program.reader().refusals().calls < 1) {
  }
  EXPECT_EQ(program.reader().RefusedTids().size(), 1u);
  program.SendByte();
  while (program.DrainOnce() == 0) {
  }
  program.SendByte();
  EXPECT_EQ(program.RunToEnd().exit_code, 0);
  EXPECT_EQ(program.reader().refusals().by_limit, 1u);
  EXPECT_TRUE(program.reader().RefusedTids().empty());
  EXPECT_EQ(program.counts("Leaf").recorded, 1u + 3u);
  EXPECT_EQ(program.threads_seen(), 3u);
}

TEST(TracedProcess, children_of_all_kinds__then_counted_once_and_not_recorded) {
  LaunchedProgram program(kControlFlow);
  ASSERT_TRUE(program.Start({"children"}));
  const Outcome outcome = program.RunToEnd();
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_FALSE(outcome.replaced_by_exec);
  EXPECT_EQ(program.output(), "6 ended\n");  // system waited for its own
  EXPECT_TRUE(program.process().uncounted_starts().empty());
  const lane::ProcessStarts starts = program.reader().process_starts();
  EXPECT_EQ(starts.fork, 1u);
  EXPECT_EQ(starts.vfork, 2u);
  EXPECT_EQ(starts.posix_spawn, 3u);
  EXPECT_EQ(starts.clone, 1u);
  EXPECT_EQ(program.counts("Leaf").total(), 2u);
}

TEST(TracedProcess, exec_of_the_process_itself__then_its_calls_are_kept_and_the_outcome_says_so) {
  LaunchedProgram program(kControlFlow);
  ASSERT_TRUE(program.Start({"exec"}));
  const Outcome outcome = program.RunToEnd();
  EXPECT_TRUE(outcome.replaced_by_exec);
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_EQ(program.counts("Leaf").recorded, 1u);
  EXPECT_EQ(program.counts("_Z4Execv").open, 1u);
  EXPECT_EQ(program.counts("main").open, 1u);
}

TEST(TracedProcess, hooks_changed_after_an_exec__then_refused_and_the_new_program_lives) {
  LaunchedProgram program(kControlFlow);
  ASSERT_TRUE(program.Start({"exec_and_read"}));
  std::string name;
  while (name != "cat") {
    std::ifstream file("/proc/" + std::to_string(program.process().pid()) + "/comm");
    std::getline(file, name);
  }
  // A module elsewhere needs memory for its stubs, from inside the program.
  HookChange change;
  change.add = {{program.options().module, program.base() + 4096, program.hooks()}};
  const auto changed = program.process().ChangeHooks(change);
  EXPECT_EQ(changed.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(changed.status().message().find("runs another program"), std::string::npos);
  program.SendByte();
  const Outcome outcome = program.RunToEnd();
  EXPECT_FALSE(outcome.signaled) << outcome.signal;
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(program.output(), "x");
}

TEST(TracedProcess, program_that_maps_itself_as_data__then_its_base_is_where_its_code_is) {
  LaunchedProgram program(kControlFlow);
  ASSERT_TRUE(program.Start({"maps_itself"}));
  while (program.output().empty()) program.DrainOnce();
  const auto modules = program.process().Modules();
  ASSERT_TRUE(modules.ok()) << modules.status();
  EXPECT_EQ(modules->front().base, program.base());
  EXPECT_GT(program.base(), 0x10000000u);
  EXPECT_EQ(program.RunToEnd().exit_code, 0);
}

TEST(TracedProcess, killed__then_signal_and_open_calls_remain) {
  LaunchedProgram program(kControlFlow);
  ASSERT_TRUE(program.Start({"series"}));
  while (program.reader().Threads().empty()) {
  }
  ASSERT_TRUE(program.process().Signal(SIGKILL).ok());
  const Outcome outcome = program.RunToEndUndrained();
  EXPECT_TRUE(outcome.signaled);
  EXPECT_EQ(outcome.signal, SIGKILL);
  EXPECT_EQ(program.counts("main").open, 1u);
  EXPECT_EQ(program.process().Signal(SIGKILL).code(), absl::StatusCode::kFailedPrecondition);
}

TEST(TracedProcess, file_that_cannot_be_executed__then_permission_denied) {
  LaunchOptions options;
  options.program = "/proc/self/maps";
  options.argv = {"maps"};
  options.module = ReadShared(kKnownCounts);
  options.plan = [](const std::vector<MappedModule>&, const auto&) {
    return std::vector<ModuleHooks>();
  };
  options.lane_directory = "/dev/shm";
  EXPECT_EQ(TracedProcess::Launch(options).status().code(), absl::StatusCode::kPermissionDenied);
}

TEST(TracedProcess, plan_of_another_file__then_failed_precondition) {
  LaunchedProgram other(kControlFlow);
  ASSERT_TRUE(other.Start({"environment"}));
  LaunchOptions options = other.options();
  options.program = kKnownCounts;
  options.module = ReadShared(kKnownCounts);
  options.stdio = {0, 1, 2};
  EXPECT_EQ(TracedProcess::Launch(options).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace flightrec::target
