#include "services/tracer/recorder/recovery.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/ids/resource_name.h"
#include "services/tracer/lane/lane_reader.h"
#include "services/tracer/recorder/recording_manifest.h"
#include "services/tracer/target/hook_journal.h"
#include "services/tracer/target/installation.h"

namespace flightrec::tracer {
namespace {

constexpr char kControlTokenName[] = "control_token";
// How long the end of a recording whose lanes are gone waits for the backend.
constexpr absl::Duration kEndDeadline = absl::Seconds(10);

bool IsNumber(const std::string& name) {
  return !name.empty() && name.find_first_not_of("0123456789") == std::string::npos;
}

std::string NameOf(const LeftProcess& left) { return absl::StrCat("process ", left.pid); }

// Empty: nothing is left in the process.
absl::StatusOr<std::string> TakeOut(const LeftProcess& left) {
  const auto journal = left.ReadJournal();
  if (!journal.ok()) return journal.status();
  target::InstallOptions options;
  options.lane_directory = left.directory;
  auto installation = target::Installation::TakeOver(*journal, std::move(options));
  if (!installation.ok()) return installation.status();
  const absl::StatusOr<target::Removal> removal = (*installation)->Remove();
  (*installation)->EndTracing();
  if (!removal.ok()) return removal.status();
  return removal->left;
}

// Of lanes that belong to no recording.
uint64_t CallsIn(const LeftProcess& left) {
  const auto lane = lane::LaneFile::Open(left.PathWith(target::kLaneSuffix));
  if (!lane.ok()) return 0;
  const absl::StatusOr<lane::LaneHistory> history = lane::LaneReader(**lane).TakeHistory();
  return history.ok() ? history->written - std::min(history->written, history->taken) : 0;
}

Recovered RemoveFiles(const LeftProcess& left, std::string what) {
  const uint64_t calls = CallsIn(left);
  if (calls > 0)
    absl::StrAppend(&what, "; ", calls, " calls in its lanes were of no recording that is known");
  for (const char* suffix : {target::kLaneSuffix, target::kJournalSuffix, kManifestSuffix})
    unlink(left.PathWith(suffix).c_str());
  return {std::move(what)};
}

}  // namespace

std::vector<Recovered> StateRecovery::RecoverOwn(const std::string& directory, Recovery mode) {
  std::vector<Recovered> recovered;
  RecoverProcesses(directory, destination_, mode, recovered);
  return recovered;
}

std::vector<Recovered> StateRecovery::RecoverOthers(const std::string& parent,
                                                    const std::string& own, Recovery mode) {
  const absl::Status owned = StateLock::CheckOwned(parent);
  if (absl::IsNotFound(owned)) return {};
  if (!owned.ok()) return {{std::string(owned.message()), false}};
  std::vector<std::string> directories;
  // Of a tracer that is its own process.
  if (!FindLeftProcesses(parent).empty()) directories.push_back(parent);
  std::error_code error;
  std::filesystem::directory_iterator entries(parent, error);
  for (; !error && entries != std::filesystem::directory_iterator(); entries.increment(error)) {
    if (IsNumber(entries->path().filename().string()))
      directories.push_back(entries->path().string());
  }
  std::vector<Recovered> recovered;
  for (const std::string& directory : directories) {
    if (directory != own) RecoverOther(directory, mode, recovered);
  }
  if (mode == Recovery::kClean) Finish();
  return recovered;
}

void StateRecovery::RecoverOther(const std::string& directory, Recovery mode,
                                 std::vector<Recovered>& recovered) {
  auto lock = StateLock::Take(directory);
  // Its owner has ended meanwhile.
  if (absl::IsNotFound(lock.status())) return;
  if (!lock.ok()) {
    recovered.push_back({std::string(lock.status().message()), absl::IsUnavailable(lock.status())});
    return;
  }
  if (!(*lock)->IsOfThisHost()) {
    recovered.push_back({absl::StrCat(directory,
                                      " is of another pid namespace or boot; clean it there, or "
                                      "remove it"),
                         FindLeftProcesses(directory).empty()});
    return;
  }
  // Of a version that held no lock.
  const std::string name = std::filesystem::path(directory).filename().string();
  if ((*lock)->destination().empty() && IsNumber(name) &&
      access(absl::StrCat("/proc/", name).c_str(), F_OK) == 0) {
    (*lock)->Remove();
    recovered.push_back({absl::StrCat(directory, " may be in use by process ", name)});
    return;
  }
  RecoverProcesses(directory, (*lock)->destination(), mode, recovered);
  locks_.emplace_back(directory, *std::move(lock));
  // What was left alone is for others to take over.
  if ((locks_.back().second)->destination() != destination_) FinishLast();
}

void StateRecovery::RecoverProcesses(const std::string& directory, const std::string& destination,
                                     Recovery mode, std::vector<Recovered>& recovered) {
  for (const LeftProcess& left : FindLeftProcesses(directory)) {
    if (destination != destination_ && mode == Recovery::kGoOn) continue;
    recovered.push_back(RecoverProcess(left, destination, mode));
  }
}

Recovered StateRecovery::RecoverProcess(const LeftProcess& left, const std::string& destination,
                                        Recovery mode) {
  const bool ours = destination == destination_;
  if (left.manifest && left.lane && ours) return RecoverRecording(left, mode);
  const std::string name = NameOf(left);
  if (left.journal && left.Lives()) {
    const absl::StatusOr<std::string> out = TakeOut(left);
    // It may have ended meanwhile.
    if (left.Lives()) {
      if (!out.ok()) return {absl::StrCat(name, ": ", out.status().message()), false};
      if (!out->empty())
        return {absl::StrCat(name, ": hooks are out, memory is left: ", *out), false};
    }
  }
  if (left.manifest && ours) {
    const absl::StatusOr<std::string> ended = SendEnd(left);
    if (!ended.ok()) return {absl::StrCat(name, ": ", ended.status().message()), false};
    return RemoveFiles(left, *ended);
  }
  if (left.manifest) {
    return {absl::StrCat(name, ": no hooks are left; its calls are for ", destination,
                         ": flightrec clean with that --store or --backend sends them (",
                         left.PathWith(kManifestSuffix), ")")};
  }
  return RemoveFiles(left, absl::StrCat(name, left.Lives() ? ": hooks are out, it runs on"
                                                           : " has ended: its files are removed"));
}

Recovered StateRecovery::RecoverRecording(const LeftProcess& left, Recovery mode) {
  absl::StatusOr<CaptureState> state = recorder_->TakeOver(left);
  if (!state.ok()) {
    return {absl::StrCat(NameOf(left),
                         ": its recording cannot be taken over: ", state.status().message()),
            false};
  }
  const std::string name = state->recording.name();
  const bool lives = left.Lives();
  if (mode == Recovery::kGoOn)
    return {
        absl::StrCat(NameOf(left), lives ? ": goes on as " : " has ended: collected into ", name)};
  state = recorder_->Stop(name, /*terminate_program=*/false);
  if (!state.ok()) return {absl::StrCat(NameOf(left), ": ", state.status().message()), false};
  const bool sealed = state->recording.state() == trace::v1::RECORDING_STATE_SEALED;
  const bool out = !lives || access(left.PathWith(target::kJournalSuffix).c_str(), F_OK) != 0;
  std::string what =
      absl::StrCat(NameOf(left), lives ? ": hooks are out, it runs on; " : " has ended; ", name,
                   " has ", state->calls, " calls");
  if (!sealed) absl::StrAppend(&what, ", incomplete: ", state->recording.failure());
  if (!out) absl::StrAppend(&what, "; memory is left in it");
  return {std::move(what), sealed && out};
}

absl::StatusOr<std::string> StateRecovery::SendEnd(const LeftProcess& left) {
  const absl::StatusOr<LeftRecording> recording =
      RecordingManifest::Read(left.PathWith(kManifestSuffix));
  if (!recording.ok()) return recording.status();
  ingest::v1::Item process, end;
  *process.mutable_process() = recording->process;
  *end.mutable_recording() = recording->recording;
  if (recording->recording.state() < trace::v1::RECORDING_STATE_SEALED) {
    end.mutable_recording()->set_state(trace::v1::RECORDING_STATE_FAILED);
    end.mutable_recording()->set_failure("its tracer was killed and its lanes are gone");
  }
  const absl::StatusOr<ids::Ulid> id = ids::ParseRecordingResourceName(end.recording().name());
  if (!id.ok()) return id.status();
  absl::Status sent = ingest_->Send(*id, std::move(process));
  if (sent.ok()) sent = ingest_->Send(*id, std::move(end));
  if (sent.ok()) sent = ingest_->Flush(kEndDeadline);
  if (!sent.ok()) return sent;
  return absl::StrCat("process ", left.pid, ": ", recording->recording.name(), " has its end");
}

void StateRecovery::FinishLast() {
  auto& [directory, lock] = locks_.back();
  if (FindLeftProcesses(directory).empty()) {
    unlink(absl::StrCat(directory, "/", kControlTokenName).c_str());
    lock->Remove();
    rmdir(directory.c_str());
  }
  locks_.pop_back();
}

void StateRecovery::Finish() {
  while (!locks_.empty()) FinishLast();
}

}  // namespace flightrec::tracer
