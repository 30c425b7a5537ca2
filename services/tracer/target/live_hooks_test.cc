// Hooks that change while their program runs: its results stay right and no call is counted twice
// or lost.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "services/tracer/patch/planner.h"
#include "services/tracer/symbols/module_reader.h"
#include "services/tracer/target/launched_program.h"
#include "services/tracer/target/proc_files.h"
#include "services/tracer/target/process_starts.h"

namespace flightrec::target {
namespace {

constexpr char kLiveHooks[] = "services/tracer/target/testdata/live_hooks";

// "name number" lines.
std::map<std::string, uint64_t> Numbers(const std::string& output) {
  std::map<std::string, uint64_t> numbers;
  std::istringstream lines(output);
  std::string name;
  uint64_t number;
  while (lines >> name >> number) numbers[name] = number;
  return numbers;
}

// One round of calls, done when the answer is there.
void Step(LaunchedProgram& program) {
  const size_t answers = program.output().size();
  program.SendByte();
  while (program.output().size() == answers) program.DrainOnce();
}

char StateOf(pid_t pid) {
  const auto status = ReadThreadStatus(pid, pid);
  return status.ok() ? status->state : '?';
}

TEST(LiveHooks, taken_out_and_put_back__then_only_hooked_calls_are_recorded) {
  LaunchedProgram program(kLiveHooks);
  ASSERT_TRUE(program.Start({"steps"}));
  Step(program);
  const size_t all = program.hooks().size();
  for (int round = 1; round <= 5; ++round) {
    EXPECT_EQ(program.ChangeHooks({}, {"Leaf"}).live, all - 1);
    Step(program);
    EXPECT_EQ(program.ChangeHooks({"Leaf"}, {}).live, all);
    Step(program);
  }
  EXPECT_EQ(program.RunToEnd().exit_code, 0);
  EXPECT_EQ(program.counts("Leaf").total(), 6000u);
  EXPECT_EQ(program.counts("main").total(), 1u);
}

TEST(LiveHooks, changed_hundreds_of_times_under_load__then_results_and_counts_are_right) {
  LaunchedProgram program(kLiveHooks);
  ASSERT_TRUE(program.Start({"hammer"}));
  const std::vector<std::string> toggled = {"Paused", "Leaf", "Throws"};
  absl::Duration stopped;
  for (int i = 0; i < 75; ++i) {
    stopped = std::max(stopped, program.ChangeHooks({}, toggled).stopped);
    program.DrainOnce();
    stopped = std::max(stopped, program.ChangeHooks(toggled, {}).stopped);
    program.DrainOnce();
  }
  const Outcome outcome = program.RunToEnd();
  EXPECT_FALSE(outcome.signaled) << outcome.signal;
  std::map<std::string, uint64_t> numbers = Numbers(program.output());
  EXPECT_EQ(numbers["errors"], 0u);
  EXPECT_EQ(program.counts("Stable").total(), numbers["stable"]);
  // Many threads start and end between two looks: some find no free slot.
  EXPECT_GT(program.counts("InThread").total(), 0u);
  EXPECT_LE(program.counts("InThread").total(), numbers["thread"]);
  for (const auto& [symbol, name] :
       {std::pair("Paused", "paused"), std::pair("Leaf", "leaf"), std::pair("Throws", "thrown")}) {
    EXPECT_GT(program.counts(symbol).total(), 0u) << symbol;
    EXPECT_LT(program.counts(symbol).total(), numbers[name]) << symbol;
  }
  std::cout << program.output() << "longest stop " << stopped << "\n";
}

TEST(LiveHooks, stopped_program__then_it_stays_stopped) {
  LaunchedProgram program(kLiveHooks);
  ASSERT_TRUE(program.Start({"hammer"}));
  const pid_t pid = program.process().pid();
  ASSERT_TRUE(program.process().Signal(SIGSTOP).ok());
  while (StateOf(pid) != 'T') {
  }
  program.ChangeHooks({}, {"Leaf"});
  program.ChangeHooks({"Leaf"}, {});
  // The kernel puts it back into its stop at once, but not before we return.
  while (StateOf(pid) != 'T') {
  }
  ASSERT_TRUE(program.process().Signal(SIGCONT).ok());
  EXPECT_EQ(program.RunToEnd().exit_code, 0);
  EXPECT_EQ(Numbers(program.output())["errors"], 0u);
}

TEST(LiveHooks,
     program_that_somebody_traces__then_failed_precondition_with_who_and_later_it_works) {
  LaunchedProgram program(kLiveHooks);
  ASSERT_TRUE(program.Start({"hammer"}));
  const pid_t pid = program.process().pid();
  int ready[2], go[2];
  ASSERT_EQ(pipe(ready) + pipe(go), 0);
  const pid_t debugger = fork();
  if (debugger == 0) {
    char byte = ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) == 0 ? 'y' : 'n';
    close(go[1]);
    if (write(ready[1], &byte, 1) != 1 || read(go[0], &byte, 1) != 0) _exit(1);
    _exit(0);
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  ASSERT_EQ(byte, 'y');
  HookChange change;
  change.remove = {program.IndexOf("Leaf")};
  const auto refused = program.process().ChangeHooks(change);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(refused.status().message().find(absl::StrCat("process ", debugger)), std::string::npos)
      << refused.status();
  close(go[1]);
  waitpid(debugger, nullptr, 0);
  EXPECT_EQ(program.ChangeHooks({}, {"Leaf"}).live, program.hooks().size() - 1);
  const patch::Site& leaf = program.hooks()[program.IndexOf("Leaf")].site;
  std::ifstream memory(absl::StrCat("/proc/", pid, "/mem"), std::ios::binary);
  memory.seekg(static_cast<std::streamoff>(program.base() + leaf.address));
  std::string code(leaf.displaced.size(), '\0');
  memory.read(code.data(), static_cast<std::streamsize>(code.size()));
  EXPECT_EQ(code, std::string(leaf.displaced.begin(), leaf.displaced.end()));
  EXPECT_EQ(program.RunToEnd().exit_code, 0);
  EXPECT_EQ(Numbers(program.output())["errors"], 0u);
}

// fork of the C library, hooked in place of another function of the program.
ModuleHooks HookOfFork(LaunchedProgram& program, uint32_t function_index) {
  ModuleHooks hooks;
  const auto modules = program.process().Modules();
  EXPECT_TRUE(modules.ok()) << modules.status();
  for (const MappedModule& mapped : *modules) {
    if (!IsCLibrary(mapped.path)) continue;
    auto read = symbols::ReadModule(mapped.path);
    EXPECT_TRUE(read.ok()) << read.status();
    const symbols::Module& module = *read;
    const patch::Planner planner(module);
    for (const StartPoint& point : FindStartPoints(module)) {
      const auto plan = planner.PlanSite(point.function, patch::NamePolicy::kAllow);
      const auto* site = std::get_if<patch::Site>(&plan);
      if (point.event != agent::kForks || site == nullptr) continue;
      hooks.hooks.push_back({*site, 4711, function_index});
    }
    hooks.base = mapped.base;
    hooks.module = std::make_shared<const symbols::Module>(*std::move(read));
  }
  return hooks;
}

TEST(LiveHooks, function_whose_calls_are_counted__then_counted_with_its_hook_and_without) {
  LaunchedProgram program("services/tracer/target/testdata/control_flow");
  ASSERT_TRUE(program.Start({"fork_on_input"}));
  const uint32_t index = program.IndexOf("Leaf");
  HookChange add, remove;
  add.add = {HookOfFork(program, index)};
  remove.remove = {index};
  ASSERT_FALSE(add.add[0].hooks.empty());
  Step(program);
  for (int round = 0; round < 3; ++round) {
    const auto added = program.process().ChangeHooks(add);
    ASSERT_TRUE(added.ok()) << added.status();
    EXPECT_TRUE(added->failures.empty()) << added->failures.front().cause;
    Step(program);
    ASSERT_TRUE(program.process().ChangeHooks(remove).ok());
    Step(program);
  }
  EXPECT_EQ(program.RunToEnd().exit_code, 0);
  EXPECT_EQ(program.reader().process_starts().fork, 7u);
  EXPECT_EQ(program.counts("Leaf").total(), 3u);
}

TEST(LiveHooks, program_that_has_ended__then_failed_precondition) {
  LaunchedProgram program(kLiveHooks);
  ASSERT_TRUE(program.Start({"steps"}));
  EXPECT_EQ(program.RunToEnd().exit_code, 0);
  EXPECT_EQ(program.process().ChangeHooks({}).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace flightrec::target
