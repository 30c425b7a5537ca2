#include "services/tracer/recorder/recorded_program.h"

#include <time.h>
#include <unistd.h>

#include <utility>

#include "services/tracer/host/attachable.h"
#include "services/tracer/host/host_process.h"
#include "services/tracer/host/resolve_target.h"
#include "services/tracer/symbols/module_reader.h"
#include "services/tracer/target/program.h"

namespace flightrec::tracer {
namespace {

// Functions that can be hooked after the start. Their counters take 8 bytes of address space each
// and thread, memory only when hooked.
constexpr uint32_t kSpareFunctions = 65536;

absl::StatusOr<pattern::FunctionPattern> ParsePattern(const RecordingSpec& spec) {
  const std::vector<std::string> everything = {"*"};
  return pattern::FunctionPattern::Parse(spec.patterns.empty() ? everything : spec.patterns);
}

// `program` outlives the installation.
void SetOptions(const RecordingEnvironment& environment, const RecordingSpec& spec,
                RecordedProgram& program, target::InstallOptions& options) {
  options.lane_directory = environment.lane_directory;
  options.limits = spec.limits;
  options.limits.spare_functions = kSpareFunctions;
  options.watch_libraries = program.pattern.WantsLibraries();
  options.filter = {
      clock::ToTicks(environment.calibration, absl::ToInt64Nanoseconds(spec.min_duration)),
      spec.max_depth, spec.thread_names};
  if (spec.coarse_clock) options.coarse_clock = environment.coarse_clock;
  options.plan = [&program](const std::vector<target::MappedModule>& modules,
                            std::shared_ptr<const symbols::Module> module)
      -> absl::StatusOr<std::vector<target::ModuleHooks>> {
    absl::StatusOr<ProgramPlan> plan = PlanProgram(modules, std::move(module), program.pattern);
    if (!plan.ok()) return plan.status();
    program.plan = *std::move(plan);
    program.modules = modules;
    return std::move(program.plan.modules);
  };
}

// From clock ticks since boot.
absl::Time StartTime(clock::Clock& clock, uint64_t start_ticks) {
  timespec since_boot = {};
  clock_gettime(CLOCK_BOOTTIME, &since_boot);
  const absl::Duration age =
      absl::DurationFromTimespec(since_boot) - absl::Seconds(1) * static_cast<double>(start_ticks) /
                                                   static_cast<double>(sysconf(_SC_CLK_TCK));
  return clock.Now() - age;
}

}  // namespace

absl::StatusOr<RecordedProgram> LaunchProgram(const RecordingEnvironment& environment,
                                              const LaunchSpec& spec) {
  RecordedProgram program;
  program.launched = true;
  absl::StatusOr<pattern::FunctionPattern> pattern = ParsePattern(spec);
  if (!pattern.ok()) return pattern.status();
  program.pattern = *std::move(pattern);
  target::LaunchOptions options;
  options.env = spec.environment.empty() ? target::OwnEnvironment() : spec.environment;
  options.cwd = spec.working_directory;
  absl::StatusOr<std::string> path =
      target::ResolveProgram(spec.command.front(), options.cwd, options.env);
  if (!path.ok()) return path.status();
  options.program = *path;
  options.argv = spec.command;
  options.inherited = environment.inherited_descriptors;
  SetOptions(environment, spec, program, options);
  absl::StatusOr<symbols::Module> module = symbols::ReadModule(*path);
  if (!module.ok()) return module.status();
  options.module = std::make_shared<const symbols::Module>(*std::move(module));
  absl::StatusOr<std::unique_ptr<target::TracedProcess>> process =
      target::TracedProcess::Launch(std::move(options));
  if (!process.ok()) return process.status();
  program.process = *std::move(process);
  program.executable = *std::move(path);
  program.command = spec.command;
  program.start = environment.clock->Now();
  return program;
}

absl::StatusOr<RecordedProgram> AttachProgram(const RecordingEnvironment& environment,
                                              const AttachSpec& spec) {
  RecordedProgram program;
  absl::StatusOr<pattern::FunctionPattern> pattern = ParsePattern(spec);
  if (!pattern.ok()) return pattern.status();
  program.pattern = *std::move(pattern);
  const absl::StatusOr<pid_t> pid = spec.pid != 0 ? spec.pid : host::ResolveTarget(spec.target);
  if (!pid.ok()) return pid.status();
  const absl::Status attachable = host::CheckAttachable(*pid);
  if (!attachable.ok()) return attachable;
  absl::StatusOr<host::HostProcess> found = host::ReadHostProcess(host::ProcDirectory(), *pid);
  if (!found.ok()) return found.status();
  target::AttachOptions options;
  options.pid = *pid;
  SetOptions(environment, spec, program, options);
  absl::StatusOr<std::unique_ptr<target::TracedProcess>> process =
      target::TracedProcess::Attach(std::move(options));
  if (!process.ok()) return process.status();
  program.process = *std::move(process);
  program.executable = std::move(found->executable);
  program.command = std::move(found->command);
  program.start = StartTime(*environment.clock, program.process->identity().start_ticks);
  return program;
}

}  // namespace flightrec::tracer
