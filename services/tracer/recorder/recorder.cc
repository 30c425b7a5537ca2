#include "services/tracer/recorder/recorder.h"

#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/ids/resource_name.h"

namespace flightrec::tracer {
namespace {

constexpr size_t kNamesInError = 5;

}  // namespace

Recorder::Recorder(RecordingEnvironment environment) : environment_(std::move(environment)) {}

void Recorder::StopAll() {
  std::vector<std::shared_ptr<RecordingRun>> runs;
  {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    for (const auto& run : runs_) {
      if (run.second != nullptr) runs.push_back(run.second);
    }
  }
  for (const std::shared_ptr<RecordingRun>& run : runs)
    run->RequestStop(/*terminate_program=*/false);
  for (const std::shared_ptr<RecordingRun>& run : runs) run->AwaitEnd(absl::InfiniteDuration());
}

absl::StatusOr<CaptureState> Recorder::Launch(const LaunchSpec& spec) {
  return Begin(spec.recording, [&](const ids::Ulid& recording) {
    LaunchSpec named = spec;
    named.recording = recording;
    return RecordingRun::Launch(environment_, named);
  });
}

absl::StatusOr<CaptureState> Recorder::Attach(const AttachSpec& spec) {
  return Begin(spec.recording, [&](const ids::Ulid& recording) {
    AttachSpec named = spec;
    named.recording = recording;
    return RecordingRun::Attach(environment_, named);
  });
}

absl::StatusOr<CaptureState> Recorder::TakeOver(const LeftProcess& left) {
  absl::StatusOr<std::shared_ptr<RecordingRun>> run = RecordingRun::TakeOver(environment_, left);
  if (!run.ok()) return run.status();
  CaptureState state = (*run)->State();
  absl::MutexLock lock(&mutex_);
  if (stopped_) return absl::UnavailableError("the tracer is shutting down");
  runs_[state.recording.name()] = *std::move(run);
  return state;
}

absl::StatusOr<CaptureState> Recorder::Begin(ids::Ulid recording, const Start& start) {
  if (recording == ids::Ulid()) recording = environment_.ulids->Generate();
  const std::string name = ids::RecordingResourceName(recording);
  {
    absl::MutexLock lock(&mutex_);
    if (stopped_)
      return absl::UnavailableError("the tracer is shutting down: try again when it is back");
    size_t running = 0;
    for (const auto& run : runs_)
      running += run.second == nullptr || !run.second->Finished() ? 1 : 0;
    if (running >= kMaxRunningRecordings) {
      return absl::ResourceExhaustedError(absl::StrCat(running,
                                                       " recordings run already, the most is ",
                                                       kMaxRunningRecordings, ": stop one first"));
    }
    // Null holds the place while the program starts.
    if (!runs_.emplace(name, nullptr).second) {
      return absl::AlreadyExistsError(
          absl::StrCat(name, " exists already: leave recording_id empty or make a new ULID"));
    }
  }
  absl::StatusOr<std::shared_ptr<RecordingRun>> run = start(recording);
  absl::MutexLock lock(&mutex_);
  if (!run.ok()) {
    runs_.erase(name);
    return run.status();
  }
  runs_[name] = *run;
  ForgetOldest();
  return (*run)->State();
}

absl::StatusOr<CaptureState> Recorder::Await(absl::string_view recording, absl::Duration timeout) {
  absl::StatusOr<std::shared_ptr<RecordingRun>> run = Find(recording);
  if (!run.ok()) return run.status();
  (*run)->AwaitEnd(timeout);
  return (*run)->State();
}

absl::StatusOr<CaptureState> Recorder::Stop(absl::string_view recording, bool terminate_program) {
  absl::StatusOr<std::shared_ptr<RecordingRun>> run = Find(recording);
  if (!run.ok()) return run.status();
  (*run)->RequestStop(terminate_program);
  (*run)->AwaitEnd(absl::InfiniteDuration());
  return (*run)->State();
}

absl::StatusOr<ProbeUpdate> Recorder::UpdateProbes(absl::string_view recording,
                                                   const std::vector<std::string>& add,
                                                   const std::vector<std::string>& remove) {
  absl::StatusOr<std::shared_ptr<RecordingRun>> run = Find(recording);
  if (!run.ok()) return run.status();
  return (*run)->UpdateProbes(add, remove);
}

std::vector<CaptureState> Recorder::List() {
  std::vector<std::shared_ptr<RecordingRun>> runs;
  {
    absl::MutexLock lock(&mutex_);
    for (auto run = runs_.rbegin(); run != runs_.rend(); ++run) {
      if (run->second != nullptr) runs.push_back(run->second);
    }
  }
  std::vector<CaptureState> states;
  for (const std::shared_ptr<RecordingRun>& run : runs) states.push_back(run->State());
  return states;
}

absl::StatusOr<std::shared_ptr<RecordingRun>> Recorder::Find(absl::string_view recording) {
  absl::MutexLock lock(&mutex_);
  auto found = runs_.find(std::string(recording));
  if (found != runs_.end() && found->second != nullptr) return found->second;
  std::vector<std::string> known;
  for (auto run = runs_.rbegin(); run != runs_.rend() && known.size() < kNamesInError; ++run)
    known.push_back(run->first);
  return absl::NotFoundError(
      absl::StrCat("'", recording, "' is not a recording of this tracer; ",
                   known.empty() ? "it has made none yet"
                                 : absl::StrCat("it has made ", absl::StrJoin(known, ", "))));
}

void Recorder::ForgetOldest() {
  for (auto run = runs_.begin(); run != runs_.end() && runs_.size() > kMaxEndedRecordings;) {
    const bool ended = run->second != nullptr && run->second->Finished();
    run = ended ? runs_.erase(run) : std::next(run);
  }
}

}  // namespace flightrec::tracer
