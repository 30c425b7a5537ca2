// The program of a recording: started or found running, with its functions hooked by the
// recording's patterns. Stateless functions, thread-safe.

#ifndef SERVICES_TRACER_RECORDER_RECORDED_PROGRAM_H_
#define SERVICES_TRACER_RECORDER_RECORDED_PROGRAM_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "services/tracer/pattern/function_pattern.h"
#include "services/tracer/recorder/capture_state.h"
#include "services/tracer/recorder/program_plan.h"
#include "services/tracer/recorder/recording_environment.h"
#include "services/tracer/target/traced_process.h"

namespace flightrec::tracer {

struct RecordedProgram {
  std::unique_ptr<target::TracedProcess> process;
  bool launched = false;
  std::string executable;
  std::vector<std::string> command;
  absl::Time start;
  pattern::FunctionPattern pattern;
  // What was mapped when it was made; its hooks are with the process now.
  ProgramPlan plan;
  std::vector<target::MappedModule> modules;
};

// Statuses as of Recorder::Launch and Recorder::Attach.
absl::StatusOr<RecordedProgram> LaunchProgram(const RecordingEnvironment& environment,
                                              const LaunchSpec& spec);
absl::StatusOr<RecordedProgram> AttachProgram(const RecordingEnvironment& environment,
                                              const AttachSpec& spec);

}  // namespace flightrec::tracer

#endif  // SERVICES_TRACER_RECORDER_RECORDED_PROGRAM_H_
