#include "common/chunk/call_gaps.h"

#include <algorithm>
#include <cstddef>

namespace flightrec::chunk {
namespace {

constexpr uint64_t kUnset = ~uint64_t{0};

// An event before its predecessor is rare and not worth a base for all. Its gap is above every
// forward one.
bool IsForward(uint64_t gap) { return static_cast<int64_t>(gap) >= 0; }

void DropBackwardBases(std::vector<uint64_t>& bases) {
  for (uint64_t& base : bases) {
    if (!IsForward(base)) base = 0;
  }
}

}  // namespace

template <typename Enter, typename Leave>
void GapCodec::Walk(const CallNesting& nesting, Enter enter, Leave leave) {
  const size_t call_count = nesting.path_index.size();
  open_.resize(call_count + 1);
  OpenEntry* const bottom = open_.data();
  OpenEntry* top = bottom;  // *bottom stands for no call
  for (size_t call = 0; call < call_count; ++call) {
    const uint32_t path = nesting.path_index[call];
    const uint32_t parent = nesting.parent_index[path];
    while (top != bottom && top->path_index != parent) {
      leave(top->call, top->path_index);
      --top;
    }
    enter(call, path);
    *++top = {path, static_cast<uint32_t>(call)};
  }
  for (; top != bottom; --top) leave(top->call, top->path_index);
}

void GapCodec::ToGaps(const CallNesting& nesting, absl::Span<const uint64_t> start_ticks,
                      absl::Span<const uint64_t> duration_ticks, PathBases& bases, CallGaps& gaps) {
  const size_t call_count = nesting.path_index.size();
  const size_t path_count = nesting.parent_index.size();
  gaps.entry.resize(call_count);
  gaps.exit.resize(call_count);
  gaps.exit_path.resize(call_count);
  bases.entry.assign(path_count, kUnset);
  bases.exit.assign(path_count, kUnset);
  uint64_t* const entry_gaps = gaps.entry.data();
  uint64_t* exit_gap = gaps.exit.data();
  uint32_t* exit_path = gaps.exit_path.data();
  uint64_t* const entry_bases = bases.entry.data();
  uint64_t* const exit_bases = bases.exit.data();
  const uint64_t* const starts = start_ticks.data();
  const uint64_t* const durations = duration_ticks.data();
  uint64_t cursor = nesting.origin_ticks;
  Walk(
      nesting,
      [&](size_t call, uint32_t path) {
        const uint64_t gap = starts[call] - cursor;
        entry_gaps[call] = gap;
        entry_bases[path] = std::min(entry_bases[path], gap);
        cursor = starts[call];
      },
      [&](size_t call, uint32_t path) {
        const uint64_t end = starts[call] + durations[call];
        const uint64_t gap = end - cursor;
        *exit_gap++ = gap;
        *exit_path++ = path;
        exit_bases[path] = std::min(exit_bases[path], gap);
        cursor = end;
      });
  DropBackwardBases(bases.entry);
  DropBackwardBases(bases.exit);
}

void GapCodec::FromGaps(const CallNesting& nesting, const PathBases& bases,
                        absl::Span<const uint64_t> entry_gaps, absl::Span<const uint64_t> exit_gaps,
                        absl::Span<uint64_t> start_ticks, absl::Span<uint64_t> duration_ticks) {
  uint64_t cursor = nesting.origin_ticks;
  const uint64_t* exit_gap = exit_gaps.data();
  Walk(
      nesting,
      [&](size_t call, uint32_t path) {
        cursor += entry_gaps[call] + bases.entry[path];
        start_ticks[call] = cursor;
      },
      [&](size_t call, uint32_t path) {
        cursor += *exit_gap++ + bases.exit[path];
        duration_ticks[call] = cursor - start_ticks[call];
      });
}

}  // namespace flightrec::chunk
