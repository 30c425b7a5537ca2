#include "services/tracer/lane/lane_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "services/tracer/lane/slot_registry.h"

namespace flightrec::lane {
namespace {

uint64_t Relaxed(const uint64_t& value) {
  // Relaxed: counters that only grow; the next question sees what this missed.
  return __atomic_load_n(&value, __ATOMIC_RELAXED);
}

uint64_t Advance(uint64_t now, uint64_t& seen) {
  const uint64_t difference = now - seen;
  seen = now;
  return difference;
}

// What the counters have advanced by, and which `seen` becomes.
std::vector<FunctionLoss> AdvanceAll(const uint64_t* counters, uint32_t functions,
                                     std::vector<uint64_t>& seen) {
  std::vector<FunctionLoss> advanced;
  if (seen.size() < functions) seen.resize(functions);
  for (uint32_t i = 0; i < functions; ++i) {
    const uint64_t calls = Advance(Relaxed(counters[i]), seen[i]);
    if (calls != 0) advanced.push_back({i, calls});
  }
  return advanced;
}

}  // namespace

LaneReader::LaneReader(const LaneFile& file, NameThread name_thread)
    : file_(file), name_thread_(std::move(name_thread)), slots_(file.layout().slot_count) {}

bool LaneReader::IsReadable(uint32_t slot) {
  if (!IsClaimed(file_.header(), slot)) return false;
  bool& readable = slots_[slot].readable;
  readable = readable || file_.Populate(slot);
  return readable;
}

std::vector<LaneThread> LaneReader::Threads() {
  std::vector<LaneThread> threads;
  for (uint32_t slot = 0; slot < slots_.size(); ++slot) {
    if (!IsReadable(slot)) continue;
    const SlotControl& control = file_.control(slot);
    if (!IsActive(control)) continue;
    const uint64_t ordinal = control.thread_ordinal;
    threads.push_back({slot, Named(control.tid, ordinal), ordinal, control.start_ticks});
  }
  return threads;
}

size_t LaneReader::Drain(uint32_t slot, absl::Span<CallRecord> out) {
  return Consume(file_.ring(slot), out.data(), out.size());
}

Losses LaneReader::TakeLosses(uint32_t slot) {
  const SlotControl& control = file_.control(slot);
  SlotMemory& memory = slots_[slot];
  Losses losses;
  losses.full = Advance(Relaxed(control.dropped_full), memory.full);
  losses.depth = Advance(Relaxed(control.dropped_depth), memory.depth);
  losses.migrated = Advance(Relaxed(control.dropped_migrated), memory.migrated);
  const uint32_t functions = file_.functions_in_use();
  if (file_.Has(kFilters)) {
    losses.filtered = AdvanceAll(file_.filtered(slot), functions, memory.filtered);
  }
  if (losses.full + losses.depth + losses.migrated == 0) return losses;
  losses.functions = AdvanceAll(file_.drops(slot), functions, memory.drops);
  return losses;
}

absl::StatusOr<LaneHistory> LaneReader::TakeHistory() {
  const int file = open(file_.path().c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", file_.path()));
  absl::Cleanup close_file = [file] { close(file); };
  // Not by the mapping: that would give memory to slots that never had any.
  const auto read = [file](void* out, size_t bytes, uint64_t place) {
    return pread(file, out, bytes, static_cast<off_t>(place)) == static_cast<ssize_t>(bytes);
  };
  const FileHeader& layout = file_.layout();
  const uint32_t functions = file_.functions_in_use();
  LaneHistory history;
  history.durable = Relaxed(file_.header().calls_durable);
  std::vector<uint64_t> lost(functions), filtered(functions);
  for (uint32_t slot = 0; slot < layout.slot_count; ++slot) {
    const uint64_t base = layout.header_bytes + slot * layout.slot_bytes;
    SlotControl control;
    SlotMemory& memory = slots_[slot];
    memory.drops.resize(functions);
    memory.filtered.resize(file_.Has(kFilters) ? functions : 0);
    if (!read(&control, sizeof(control), base) ||
        !read(memory.drops.data(), functions * sizeof(uint64_t), base + layout.drops_offset) ||
        !read(memory.filtered.data(), memory.filtered.size() * sizeof(uint64_t),
              base + layout.filtered_offset)) {
      return absl::DataLossError(absl::StrCat(file_.path(), " is too short for slot ", slot));
    }
    history.written += control.head / sizeof(CallRecord);
    history.taken += control.tail / sizeof(CallRecord);
    history.losses.full += memory.full = control.dropped_full;
    history.losses.depth += memory.depth = control.dropped_depth;
    history.losses.migrated += memory.migrated = control.dropped_migrated;
    for (uint32_t i = 0; i < functions; ++i) lost[i] += memory.drops[i];
    for (size_t i = 0; i < memory.filtered.size(); ++i) filtered[i] += memory.filtered[i];
  }
  for (uint32_t i = 0; i < functions; ++i) {
    if (lost[i] != 0) history.losses.functions.push_back({i, lost[i]});
    if (filtered[i] != 0) history.losses.filtered.push_back({i, filtered[i]});
  }
  return history;
}

DrainProgress LaneReader::progress(uint32_t slot) const {
  const SlotControl& control = file_.control(slot);
  if (control.drained_thread != control.thread_ordinal) return {};
  return {control.drained_chunks, control.drained_ordinal, control.drained_ticks};
}

void LaneReader::SetProgress(uint32_t slot, const DrainProgress& progress) {
  SlotControl& control = file_.control(slot);
  control.drained_chunks = progress.chunks;
  control.drained_ordinal = progress.ordinal;
  control.drained_ticks = progress.start_ticks;
  // Release: who finds its thread finds the rest.
  __atomic_store_n(&control.drained_thread, control.thread_ordinal, __ATOMIC_RELEASE);
}

void LaneReader::SetMuted(uint32_t slot, bool muted) {
  SlotControl& control = file_.control(slot);
  // Relaxed: the thread obeys at its next call that sees it.
  __atomic_store_n(&control.call_limit, muted ? 0 : Relaxed(control.own_call_limit),
                   __ATOMIC_RELAXED);
}

std::vector<OpenCall> LaneReader::OpenCalls(uint32_t slot) const {
  const OpenCallEntry* entries = file_.shadow(slot);
  std::vector<OpenCall> calls;
  uint32_t gap = 0;
  // Entry 0 is the root. Dead entries between open ones have no start; beyond
  // a page of them nothing was ever open.
  constexpr uint32_t kEntriesPerPage = kPageBytes / sizeof(OpenCallEntry);
  for (uint32_t i = 1; i < file_.layout().shadow_entries; ++i) {
    // Acquire: pairs with the store of the start, which comes last.
    const uint64_t start = __atomic_load_n(&entries[i].start_ticks, __ATOMIC_ACQUIRE);
    if (start == 0) {
      if (++gap > kEntriesPerPage) break;
      continue;
    }
    gap = 0;
    if (entries[i].function_index >= file_.functions_in_use()) continue;
    calls.push_back({start, entries[i].path, entries[i].function_index, entries[i].ordinal_low});
  }
  return calls;
}

Refusals LaneReader::refusals() const {
  const FileHeader& header = file_.header();
  return {Relaxed(header.refused_by_limit), Relaxed(header.refused_by_memory),
          Relaxed(header.refused_calls)};
}

ProcessStarts LaneReader::process_starts() const {
  const FileHeader& header = file_.header();
  return {Relaxed(header.children_fork), Relaxed(header.children_vfork),
          Relaxed(header.children_posix_spawn), Relaxed(header.children_clone)};
}

std::vector<uint32_t> LaneReader::RefusedTids() const {
  std::vector<uint32_t> tids;
  for (const uint32_t& place : file_.header().refused_tids) {
    const uint32_t tid = __atomic_load_n(&place, __ATOMIC_RELAXED);
    if (tid != 0) tids.push_back(Named(tid, 0));
  }
  return tids;
}

void LaneReader::Release(uint32_t slot) {
  ReleaseSlot(&file_.header(), &file_.control(slot), slot);
}

}  // namespace flightrec::lane
