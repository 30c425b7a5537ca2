// Start and duration of nested calls as gaps: the ticks between one event of the
// thread (a call's start or end) and the next. A call that contains others has
// two small gaps instead of a large duration. FORMAT.md, "Gaps".
//
// The nesting is guessed from paths alone and may be wrong (lost records,
// signal handlers, coroutines): gaps then are large, but the way back is exact,
// since both directions guess alike and all arithmetic is modulo 2^64.
//
// Not thread-safe: objects hold scratch memory for reuse.
#ifndef COMMON_CHUNK_CALL_GAPS_H_
#define COMMON_CHUNK_CALL_GAPS_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace flightrec::chunk {

inline constexpr uint32_t kNoParentIndex = ~uint32_t{0};

// Columns of one chunk that both directions need. All indexes are valid.
struct CallNesting {
  // Per call, in order of entry.
  absl::Span<const uint32_t> path_index;
  // Per path: the index of its parent path, or kNoParentIndex.
  absl::Span<const uint32_t> parent_index;
  // Ticks that the first gap counts from.
  uint64_t origin_ticks = 0;
};

// What is subtracted from the gaps of each path, so that a function with a
// steady time leaves only its variation.
struct PathBases {
  std::vector<uint64_t> entry;
  std::vector<uint64_t> exit;
};

struct CallGaps {
  std::vector<uint64_t> entry;
  std::vector<uint64_t> exit;
  std::vector<uint32_t> exit_path;
};

class GapCodec {
 public:
  // Gaps, from which the base of their path is still to be taken: `entry` in
  // order of entry, `exit` in the order in which the guessed nesting ends calls,
  // `exit_path` being their paths.
  void ToGaps(const CallNesting& nesting, absl::Span<const uint64_t> start_ticks,
              absl::Span<const uint64_t> duration_ticks, PathBases& bases, CallGaps& gaps);

  // The spans have one element per call.
  void FromGaps(const CallNesting& nesting, const PathBases& bases,
                absl::Span<const uint64_t> entry_gaps, absl::Span<const uint64_t> exit_gaps,
                absl::Span<uint64_t> start_ticks, absl::Span<uint64_t> duration_ticks);

 private:
  struct OpenEntry {
    uint32_t path_index;
    uint32_t call;
  };

  // Calls `enter(call)` in order of entry and `leave(call)` whenever the nesting
  // says that a call has ended.
  template <typename Enter, typename Leave>
  void Walk(const CallNesting& nesting, Enter enter, Leave leave);

  std::vector<OpenEntry> open_;
};

}  // namespace flightrec::chunk

#endif  // COMMON_CHUNK_CALL_GAPS_H_
