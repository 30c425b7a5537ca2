// One recording from the start of its program until everything is durable. A thread of its own
// waits for the program and then for the backend; public methods are thread-safe.

#ifndef SERVICES_TRACER_RECORDER_RECORDING_RUN_H_
#define SERVICES_TRACER_RECORDER_RECORDING_RUN_H_

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/ids/ulid.h"
#include "services/tracer/drain/drain_loop.h"
#include "services/tracer/drain/drain_sink.h"
#include "services/tracer/drain/drain_totals.h"
#include "services/tracer/lane/lane_reader.h"
#include "services/tracer/recorder/capture_state.h"
#include "services/tracer/recorder/left_process.h"
#include "services/tracer/recorder/probe_set.h"
#include "services/tracer/recorder/recorded_program.h"
#include "services/tracer/recorder/recording_environment.h"
#include "services/tracer/recorder/recording_manifest.h"
#include "services/tracer/recorder/recording_state.h"
#include "services/tracer/target/traced_process.h"

namespace flightrec::tracer {

class RecordingRun final : private drain::DrainSink {
 public:
  // Returns when the program is about to run; on an error nothing of it has run, except
  // initialisers of libraries.
  static absl::StatusOr<std::shared_ptr<RecordingRun>> Launch(
      const RecordingEnvironment& environment, const LaunchSpec& spec);
  // Returns when calls are recorded; on an error the program runs on as it was.
  static absl::StatusOr<std::shared_ptr<RecordingRun>> Attach(
      const RecordingEnvironment& environment, const AttachSpec& spec);
  // Goes on with a recording whose tracer was killed, until its process ends or it is stopped; what
  // that tracer had taken from the lanes and not delivered is in the completeness.
  // FAILED_PRECONDITION, UNIMPLEMENTED, DATA_LOSS: why not; then its files stay.
  static absl::StatusOr<std::shared_ptr<RecordingRun>> TakeOver(
      const RecordingEnvironment& environment, const LeftProcess& left);
  // As RequestStop without termination, then waits for the end of the recording.
  ~RecordingRun() override;

  CaptureState State();
  void AwaitEnd(absl::Duration timeout);
  // Ends the recording soon. A launched program is sent SIGTERM when asked for; any other runs on
  // without hooks.
  void RequestStop(bool terminate_program);
  // Hooks functions in addition and takes hooks out, while the program runs. Errors are those of
  // ProbeSet::PlanUpdate and TracedProcess::ChangeHooks; FAILED_PRECONDITION also when the
  // recording ends.
  absl::StatusOr<ProbeUpdate> UpdateProbes(const std::vector<std::string>& add,
                                           const std::vector<std::string>& remove);
  // Sealed or failed.
  bool Finished();

 private:
  RecordingRun(const RecordingEnvironment& environment, const RecordingSpec& spec);
  static std::shared_ptr<RecordingRun> Begin(const RecordingEnvironment& environment,
                                             const RecordingSpec& spec, RecordedProgram program);

  // drain::DrainSink, from the drain's thread.
  void OnThread(const drain::DrainedThread& thread) override;
  bool OnChunk(drain::EncodedChunk chunk) override;
  void OnFinalChunk(drain::EncodedChunk chunk) override;

  void Adopt(RecordedProgram program);
  void AdoptLeft(std::unique_ptr<target::TracedProcess> program, LeftRecording left);
  // Of the lanes' calls so far, whoever took them out.
  void TakeHistory();
  // What a tracer needs that takes over.
  void KeepManifest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // And what is left to be told by one that finds no lane any more.
  void KeepEnd() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Makes a planned change in the program.
  absl::StatusOr<target::HookChangeResult> Make(const ProbeChange& change)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(probes_mutex_);
  // The program has loaded or unloaded libraries; its thread waits.
  void LibrariesChanged(const absl::Status& unwinders);
  absl::Status FollowLibraries() ABSL_EXCLUSIVE_LOCKS_REQUIRED(probes_mutex_);
  void NoteLibraries(const char* what, const absl::Status& why)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // From when a pattern could select functions of a later library, or if an unwinder may come.
  void WatchLibraries() ABSL_EXCLUSIVE_LOCKS_REQUIRED(probes_mutex_);
  void SendFunctions(absl::Span<const trace::v1::Function> functions);
  void Describe(const RecordingSpec& spec);
  void StartDrain();
  void Run();
  // Nullopt: a stop was requested before it ended.
  absl::optional<target::Outcome> AwaitProgram();
  void Finish(const absl::optional<target::Outcome>& outcome);
  // Takes the hooks out of a program that runs on.
  void Detach();
  void DescribeOutcome(const target::Outcome& outcome, absl::Time end)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Gives back the memory of the lanes: an ended recording stays known for long.
  void LetGo() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Advance(RecordingState to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void UpdateCompleteness() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendRecording() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SendProcess() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Send(ingest::v1::Item item);
  // Counts the chunks that have become durable, for a tracer that takes over.
  void NoteDurable();
  drain::DrainTotals Totals() const;

  const RecordingEnvironment environment_;
  const ids::Ulid id_;
  const std::string name_;
  ids::ProcessId process_id_ = 0;
  // These three until the recording ends; other threads reach them under mutex_.
  std::unique_ptr<target::TracedProcess> program_;
  std::unique_ptr<lane::LaneReader> reader_;
  std::unique_ptr<drain::DrainLoop> drain_;
  std::unique_ptr<RecordingManifest> manifest_;
  // Before this tracer took over.
  drain::DrainTotals earlier_;
  // Of the drain's thread: numbers of items on their way, with their calls.
  std::deque<std::pair<uint64_t, uint64_t>> on_their_way_;
  std::vector<std::string> thread_names_;
  bool launched_ = false;
  // Nothing of the tracer is in the program any more, or it has ended.
  bool program_is_clean_ = false;
  // Items of the whole tracer that the backend had refused before this recording.

  // One change of the probes at a time; before mutex_.
  absl::Mutex probes_mutex_;
  bool probes_closed_ ABSL_GUARDED_BY(probes_mutex_) = false;
  bool watching_ ABSL_GUARDED_BY(probes_mutex_) = false;
  // As of the last plan.
  std::vector<target::MappedModule> modules_ ABSL_GUARDED_BY(probes_mutex_);

  absl::Mutex mutex_;
  // Changed under both mutexes, so read under either.
  ProbeSet probes_;
  size_t functions_hooked_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<target::HookFailure> failures_ ABSL_GUARDED_BY(mutex_);
  // Libraries that could not be hooked and what could not be taken out again, and why.
  std::vector<std::string> notes_ ABSL_GUARDED_BY(mutex_);
  RecordingLife life_ ABSL_GUARDED_BY(mutex_);
  trace::v1::Recording recording_ ABSL_GUARDED_BY(mutex_);
  trace::v1::Process process_ ABSL_GUARDED_BY(mutex_);
  uint64_t calls_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stop_requested_ ABSL_GUARDED_BY(mutex_) = false;
  // On the monotonic clock.
  absl::Duration kill_at_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteDuration();

  std::thread thread_;
};

}  // namespace flightrec::tracer

#endif  // SERVICES_TRACER_RECORDER_RECORDING_RUN_H_
