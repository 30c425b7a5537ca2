#include "services/tracer/recorder/left_process.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/tracer/recorder/recording_manifest.h"
#include "services/tracer/target/hook_journal.h"
#include "services/tracer/target/proc_files.h"

namespace flightrec::tracer {

std::string LeftProcess::PathWith(const char* suffix) const {
  return absl::StrCat(directory, "/", pid, "-", start_ticks, suffix);
}

absl::StatusOr<target::JournalContent> LeftProcess::ReadJournal() const {
  const std::string path = PathWith(target::kJournalSuffix);
  absl::StatusOr<target::JournalContent> journal = target::ReadJournal(path);
  if (!journal.ok()) return journal.status();
  if (journal->process.pid != pid || journal->process.start_ticks != start_ticks)
    return absl::DataLossError(
        absl::StrCat(path, " is the journal of process ", journal->process.pid, "; remove it"));
  return journal;
}

bool LeftProcess::Lives() const {
  const absl::StatusOr<uint64_t> start =
      target::ReadStartTicks(absl::StrCat("/proc/", pid, "/stat"));
  if (!start.ok() || *start != start_ticks) return false;
  // The first thread may have ended before the others.
  const auto process = static_cast<pid_t>(pid);
  const absl::StatusOr<std::vector<pid_t>> threads = target::ListThreads(process);
  if (!threads.ok()) return false;
  return std::any_of(threads->begin(), threads->end(), [process](pid_t tid) {
    const auto status = target::ReadThreadStatus(process, tid);
    return status.ok() && status->state != 'Z' && status->state != 'X';
  });
}

std::vector<LeftProcess> FindLeftProcesses(const std::string& directory) {
  std::map<std::pair<uint32_t, uint64_t>, LeftProcess> found;
  std::error_code error;
  std::filesystem::directory_iterator files(directory, error);
  for (; !error && files != std::filesystem::directory_iterator(); files.increment(error)) {
    const std::string suffix = files->path().extension().string();
    const std::vector<std::string> numbers =
        absl::StrSplit(files->path().stem().string(), absl::MaxSplits('-', 1));
    uint32_t pid = 0;
    uint64_t start = 0;
    if (numbers.size() != 2 || !absl::SimpleAtoi(numbers[0], &pid) ||
        !absl::SimpleAtoi(numbers[1], &start))
      continue;
    const bool lane = suffix == target::kLaneSuffix;
    const bool journal = suffix == target::kJournalSuffix;
    const bool manifest = suffix == kManifestSuffix;
    if (!lane && !journal && !manifest) continue;
    LeftProcess& process = found[{pid, start}];
    process.directory = directory;
    process.pid = pid;
    process.start_ticks = start;
    process.lane = process.lane || lane;
    process.journal = process.journal || journal;
    process.manifest = process.manifest || manifest;
  }
  std::vector<LeftProcess> processes;
  for (auto& one : found) processes.push_back(std::move(one.second));
  return processes;
}

}  // namespace flightrec::tracer
