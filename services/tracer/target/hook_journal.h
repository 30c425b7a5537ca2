// What was put into a process, on disk before it is: where the tracer's memory is and which bytes
// of the program are others now. With it a later tracer takes everything out, or takes it over,
// when this one was killed.
//
// Text, a line each; a line without its end was not finished, and what it tells of was not done:
//
//   flightrec-hooks 2
//   phase hooked                     `leaves` from when memory is unmapped; written over in place
//   process PID START_TICKS BOOT_ID
//   program STACK                    address where its stack began: another after exec
//   code ADDRESS BYTES               about to be mapped: stubs, answers, notices
//   data ADDRESS BYTES               the same: lanes, thread blocks, the agent
//   mapped ADDRESS                   one of these is there
//   unused ADDRESS                   one of these is not: the program has taken the place
//   agent VERSION IMAGE STATE RETURN addresses; STATE is agent::AgentState, which knows the rest;
//                                    RETURN: where in a stub hooked functions return to
//   text ADDRESS ORIGINAL PRESENT    hexadecimal bytes, about to be written; a later line of the
//                                    same address adds what may be there
//   lookup ADDRESS ORIGINAL PRESENT  the same, of an unwinder's lookup: restored last
//
// Version 1 had `memory` for code and data, after it was mapped, `agent IMAGE STATE` and no phase,
// program and lookup. It is read.
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

// Of the files in a tracer's state directory that belong to one process, `PID-STARTTICKS` and
// these.
inline constexpr char kJournalSuffix[] = ".hooks";
inline constexpr char kLaneSuffix[] = ".lane";

struct JournalText {
  uint64_t address = 0;
  std::vector<uint8_t> original;
  std::vector<uint8_t> present;
  bool lookup = false;
};

enum class MemoryKind { kCode, kData, kUnknown };

struct JournalMemory {
  uint64_t bytes = 0;
  MemoryKind kind = MemoryKind::kUnknown;
  bool mapped = false;  // else the tracer ended between saying and knowing so
};

// Bytes of the program that are, were or were about to be others.
struct JournalPlace {
  std::vector<uint8_t> original;
  std::vector<std::vector<uint8_t>> changed;  // as long as the original
  bool lookup = false;
};

// What a journal tells.
struct JournalContent {
  lane::ProcessIdentity process;
  uint64_t stack = 0;                        // 0: not told
  bool leaves = false;                       // memory may be unmapped, and the program's own by now
  std::map<uint64_t, JournalMemory> memory;  // by address
  uint64_t lanes = 0;                        // the first that was mapped
  bool frames = false;                       // which begins with memory for CallSite::frames_end
  uint32_t agent_version = 0;                // 0: no agent yet
  uint64_t image = 0;
  uint64_t state = 0;
  uint64_t stub_return = 0;               // 0: not told
  std::map<uint64_t, JournalPlace> text;  // by address
};

// DATA_LOSS with the line: it is no journal. UNIMPLEMENTED: of another version.
absl::StatusOr<JournalContent> ParseJournal(absl::string_view text);
// Also NOT_FOUND and other statuses of the file system.
absl::StatusOr<JournalContent> ReadJournal(const std::string& path);

class HookJournal {
 public:
  // In place of one that is there. Statuses of the file system.
  static absl::StatusOr<std::unique_ptr<HookJournal>> Create(const std::string& path,
                                                             const lane::ProcessIdentity& process,
                                                             uint64_t stack);
  // Goes on with what another tracer has written, after its last whole line.
  static absl::StatusOr<std::unique_ptr<HookJournal>> Continue(const std::string& path);
  ~HookJournal();
  HookJournal(const HookJournal&) = delete;
  HookJournal& operator=(const HookJournal&) = delete;

  // Before it is mapped.
  absl::Status AddMemory(uint64_t address, uint64_t bytes, MemoryKind kind);
  // Right after it; or it could not be.
  absl::Status SetMapped(uint64_t address);
  absl::Status SetUnused(uint64_t address);
  absl::Status SetAgent(uint32_t version, uint64_t image, uint64_t state, uint64_t stub_return);
  // Before it is written. One write, whatever their number. Places that get their original back
  // need no line: what is there is read before it is believed.
  absl::Status AddText(absl::Span<const JournalText> changes);
  // Before the first memory is unmapped. Needs no room on the disk.
  absl::Status SetLeaving();

  // Nothing of it is in the process any more.
  void Remove();

 private:
  HookJournal(std::string path, int file, uint64_t size)
      : path_(std::move(path)), file_(file), size_(size) {}
  // All of it or nothing.
  absl::Status Append(const std::string& lines);

  const std::string path_;
  const int file_;
  uint64_t size_;  // of whole lines
  // By address, the last line of text: a library that comes and goes adds none.
  std::map<uint64_t, std::string> last_;
};

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_HOOK_JOURNAL_H_
