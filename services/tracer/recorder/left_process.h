// What a tracer that was killed has left about one process in its state directory. A value, and
// where such values come from; thread-safe.
#ifndef SERVICES_TRACER_RECORDER_LEFT_PROCESS_H_
#define SERVICES_TRACER_RECORDER_LEFT_PROCESS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/tracer/target/hook_journal.h"

namespace flightrec::tracer {

struct LeftProcess {
  std::string directory;
  uint32_t pid = 0;
  uint64_t start_ticks = 0;
  // Which of its files are there.
  bool lane = false;
  bool journal = false;
  bool manifest = false;

  std::string PathWith(const char* suffix) const;
  // Errors of target::ReadJournal; DATA_LOSS too if it is of another process.
  absl::StatusOr<target::JournalContent> ReadJournal() const;
  // The same process, not another one with its pid.
  bool Lives() const;
};

// By their files; files of other names are no matter.
std::vector<LeftProcess> FindLeftProcesses(const std::string& directory);

}  // namespace flightrec::tracer

#endif  // SERVICES_TRACER_RECORDER_LEFT_PROCESS_H_
