// The part of RecordingRun that begins with what a tracer that was killed has left.

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/ids/resource_name.h"
#include "services/tracer/recorder/recording_run.h"
#include "services/tracer/target/hook_journal.h"
#include "services/tracer/target/proc_files.h"

namespace flightrec::tracer {
namespace {

clock::Calibration ToCalibration(const trace::v1::Calibration& proto) {
  clock::Calibration calibration;
  calibration.ref_ticks = proto.ref_ticks();
  calibration.ref_epoch_ns = proto.ref_epoch_ns();
  calibration.ns_per_tick_q32 = proto.ns_per_tick_q32();
  calibration.uncertainty_ns = proto.uncertainty_ns();
  return calibration;
}

absl::StatusOr<std::unique_ptr<target::TracedProcess>> FindProgram(
    const RecordingEnvironment& environment, const LeftProcess& left) {
  target::InstallOptions options;
  options.lane_directory = left.directory;
  options.coarse_clock = environment.coarse_clock;
  if (left.journal && left.Lives()) {
    const auto journal = left.ReadJournal();
    if (!journal.ok()) return journal.status();
    auto process = target::TracedProcess::TakeOver(*journal, options);
    // It may have ended meanwhile.
    if (process.ok() || left.Lives()) return process;
  }
  auto boot_id = target::ReadBootId();
  if (!boot_id.ok()) return boot_id.status();
  return target::TracedProcess::OfEnded({left.pid, left.start_ticks, *std::move(boot_id)},
                                        std::move(options));
}

}  // namespace

absl::StatusOr<std::shared_ptr<RecordingRun>> RecordingRun::TakeOver(
    const RecordingEnvironment& environment, const LeftProcess& left) {
  absl::StatusOr<LeftRecording> recording = RecordingManifest::Read(left.PathWith(kManifestSuffix));
  if (!recording.ok()) return recording.status();
  RecordingSpec spec;
  absl::StatusOr<ids::Ulid> id = ids::ParseRecordingResourceName(recording->recording.name());
  if (!id.ok()) return id.status();
  spec.recording = *id;
  absl::StatusOr<std::unique_ptr<target::TracedProcess>> program = FindProgram(environment, left);
  if (!program.ok()) return program.status();
  spec.thread_names = (*program)->filter().thread_names;
  RecordingEnvironment its = environment;
  // Times of one process are never from two calibrations.
  its.calibration = ToCalibration(recording->process.calibration());
  std::shared_ptr<RecordingRun> run(new RecordingRun(its, spec));
  auto manifest = RecordingManifest::Continue(left.PathWith(kManifestSuffix));
  if (!manifest.ok()) return manifest.status();
  run->manifest_ = *std::move(manifest);
  run->AdoptLeft(*std::move(program), *std::move(recording));
  run->StartDrain();
  run->thread_ = std::thread([raw = run.get()] { raw->Run(); });
  return run;
}

void RecordingRun::AdoptLeft(std::unique_ptr<target::TracedProcess> program, LeftRecording left) {
  program_ = std::move(program);
  process_id_ = left.process.process_id();
  absl::MutexLock probes(&probes_mutex_);
  absl::MutexLock lock(&mutex_);
  probes_.Start(std::move(left.functions));
  functions_hooked_ = left.recording.completeness().functions_hooked();
  recording_ = std::move(left.recording);
  process_ = std::move(left.process);
  for (const std::string& note : recording_.completeness().notes()) notes_.push_back(note);
  stop_requested_ = !program_->hooked();
  Advance(RecordingState::kArmed);
  Advance(RecordingState::kRecording);
}

void RecordingRun::TakeHistory() {
  const absl::StatusOr<lane::LaneHistory> history = reader_->TakeHistory();
  absl::MutexLock lock(&mutex_);
  if (!history.ok()) {
    notes_.push_back(
        absl::StrCat("its tracer was killed, and what that one had recorded is not known: ",
                     history.status().message()));
    return;
  }
  const uint64_t undelivered = history->taken - std::min(history->taken, history->durable);
  earlier_.calls = history->taken - undelivered;
  earlier_.lost_lane_full = history->losses.full;
  earlier_.lost_too_deep = history->losses.depth;
  earlier_.lost_migrated = history->losses.migrated;
  earlier_.lost_spool_full = undelivered;
  const std::vector<trace::v1::Function>& functions = probes_.functions();
  for (const lane::FunctionLoss& loss : history->losses.functions) {
    if (loss.function_index < functions.size())
      earlier_.lost_by_function[functions[loss.function_index].function_id()] += loss.calls;
  }
  for (const lane::FunctionLoss& left_out : history->losses.filtered)
    earlier_.filtered += left_out.calls;
  notes_.push_back(absl::StrCat(
      "its tracer was killed and another one went on: at most ", undelivered,
      " calls that it had taken from the lanes are missing; they are counted as lost"));
}

void RecordingRun::KeepManifest() {
  const std::string path = absl::StrCat(environment_.lane_directory, "/", program_->identity().pid,
                                        "-", program_->identity().start_ticks, kManifestSuffix);
  auto manifest = RecordingManifest::Create(path);
  absl::Status status = manifest.status();
  ingest::v1::Item recording, process;
  *recording.mutable_recording() = recording_;
  *process.mutable_process() = process_;
  if (status.ok()) status = (*manifest)->Add(recording);
  if (status.ok()) status = (*manifest)->Add(process);
  if (status.ok()) {
    manifest_ = *std::move(manifest);
    return;
  }
  if (manifest.ok()) (*manifest)->Remove();
  environment_.logger->Warning("no_manifest", {{"recording", name_}, {"error", status}});
}

void RecordingRun::KeepEnd() {
  ingest::v1::Item recording, process;
  *recording.mutable_recording() = recording_;
  recording.mutable_recording()->mutable_completeness()->add_notes(
      "its tracer was killed while the last calls were on their way; some may be missing");
  *process.mutable_process() = process_;
  // Without it the recording is known to have had calls in its lanes; the lanes are gone.
  manifest_->Add(process).IgnoreError();
  manifest_->Add(recording).IgnoreError();
}

}  // namespace flightrec::tracer
