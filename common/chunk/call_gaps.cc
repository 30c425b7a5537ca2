#include "common/chunk/call_gaps.h"

#include <algorithm>
#include <cstddef>

namespace flightrec::chunk {
namespace {

// An event before its predecessor is rare and not worth a base for all.
bool IsForward(uint64_t gap) { return static_cast<int64_t>(gap) >= 0; }

// The smallest forward gap of each path.
std::vector<uint64_t> Bases(absl::Span<const uint64_t> gaps, absl::Span<const uint32_t> path_of_gap,
                            size_t path_count) {
  constexpr uint64_t kUnset = ~uint64_t{0};
  std::vector<uint64_t> bases(path_count, kUnset);
  for (size_t i = 0; i < gaps.size(); ++i) {
    uint64_t& base = bases[path_of_gap[i]];
    if (IsForward(gaps[i])) base = std::min(base, gaps[i]);
  }
  std::replace(bases.begin(), bases.end(), kUnset, uint64_t{0});
  return bases;
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
                      absl::Span<const uint64_t> duration_ticks, PathBases& bases,
                      std::vector<uint64_t>& entry_gaps, std::vector<uint64_t>& exit_gaps) {
  const size_t call_count = nesting.path_index.size();
  entry_gaps.resize(call_count);
  exit_gaps.resize(call_count);
  exit_path_.resize(call_count);
  uint64_t cursor = nesting.origin_ticks;
  size_t exits = 0;
  Walk(
      nesting,
      [&](size_t call, uint32_t) {
        entry_gaps[call] = start_ticks[call] - cursor;
        cursor = start_ticks[call];
      },
      [&](size_t call, uint32_t path) {
        const uint64_t end = start_ticks[call] + duration_ticks[call];
        exit_gaps[exits] = end - cursor;
        exit_path_[exits] = path;
        ++exits;
        cursor = end;
      });
  const size_t path_count = nesting.parent_index.size();
  bases.entry = Bases(entry_gaps, nesting.path_index, path_count);
  bases.exit = Bases(exit_gaps, exit_path_, path_count);
  for (size_t i = 0; i < call_count; ++i) {
    entry_gaps[i] -= bases.entry[nesting.path_index[i]];
    exit_gaps[i] -= bases.exit[exit_path_[i]];
  }
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
