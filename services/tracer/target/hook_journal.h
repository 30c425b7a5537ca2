// What was put into a process, on disk before it is: where the tracer's memory is and which bytes
// of the program are others now. With it a later tracer can take everything out, or take it over,
// when this one was killed.
//
// Text, a line each; a line without its end was not finished, and what it tells of was not done:
//
//   flightrec-hooks 1
//   process PID START_TICKS BOOT_ID
//   memory ADDRESS BYTES             mapped
//   agent IMAGE STATE                addresses; STATE is agent::AgentState, which knows the rest
//   text ADDRESS ORIGINAL PRESENT    hexadecimal bytes; a later line of the same address counts
//
// Not thread-safe. The file is in the tracer's state directory, beside the lane file.
#ifndef SERVICES_TRACER_TARGET_HOOK_JOURNAL_H_
#define SERVICES_TRACER_TARGET_HOOK_JOURNAL_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "services/tracer/lane/lane_file.h"

namespace flightrec::target {

struct JournalText {
  uint64_t address = 0;
  std::vector<uint8_t> original;
  std::vector<uint8_t> present;
};

// What a journal tells.
struct JournalContent {
  lane::ProcessIdentity process;
  std::map<uint64_t, uint64_t> memory;  // address to bytes
  uint64_t image = 0;
  uint64_t state = 0;
  std::map<uint64_t, JournalText> text;  // by address
};

// DATA_LOSS with the line: it is no journal. UNIMPLEMENTED: of another version.
absl::StatusOr<JournalContent> ParseJournal(absl::string_view text);

class HookJournal {
 public:
  // In place of one that is there. Statuses of the file system.
  static absl::StatusOr<std::unique_ptr<HookJournal>> Create(const std::string& path,
                                                             const lane::ProcessIdentity& process);
  ~HookJournal();
  HookJournal(const HookJournal&) = delete;
  HookJournal& operator=(const HookJournal&) = delete;

  // Right after it was mapped: until something leads there it hurts nobody.
  absl::Status AddMemory(uint64_t address, uint64_t bytes);
  absl::Status SetAgent(uint64_t image, uint64_t state);
  // Before it is written. One write, whatever their number.
  absl::Status AddText(absl::Span<const JournalText> changes);

  // Nothing of it is in the process any more.
  void Remove();

 private:
  HookJournal(std::string path, int file) : path_(std::move(path)), file_(file) {}
  absl::Status Append(const std::string& lines);

  const std::string path_;
  const int file_;
};

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_HOOK_JOURNAL_H_
