#include "services/tracer/target/text_change.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <numeric>

#include "absl/types/optional.h"
#include "services/tracer/inject/memory_map.h"
#include "services/tracer/target/text_protection.h"
#include "services/tracer/target/thread_stacks.h"

namespace flightrec::target {
namespace {

// Changes this close are read and written together.
constexpr uint64_t kMaxGap = 4096;
constexpr uint64_t kMaxRun = uint64_t{256} << 10;
constexpr std::array<uint8_t, 2> kSystemCall = {0x0F, 0x05};
// Consecutive changes, in order of address, that one read covers.
struct Run {
  uint64_t low = 0;
  uint64_t high = 0;
  std::vector<size_t> changes;
};

// Changes mostly come in order.
void SortByAddress(absl::Span<const TextChange> changes, std::vector<size_t>& order) {
  const auto before = [&](size_t a, size_t b) { return changes[a].address < changes[b].address; };
  if (!std::is_sorted(order.begin(), order.end(), before))
    std::sort(order.begin(), order.end(), before);
}

std::vector<Run> MakeRuns(absl::Span<const TextChange> changes) {
  std::vector<size_t> order(changes.size());
  std::iota(order.begin(), order.end(), 0);
  SortByAddress(changes, order);
  std::vector<Run> runs;
  for (const size_t index : order) {
    const TextChange& change = changes[index];
    const uint64_t end = change.address + std::max(change.expected.size(), change.bytes.size());
    const bool near = !runs.empty() && change.address <= runs.back().high + kMaxGap &&
                      end <= runs.back().low + kMaxRun;
    if (!near) runs.push_back({change.address, end, {}});
    runs.back().high = std::max(runs.back().high, end);
    runs.back().changes.push_back(index);
  }
  return runs;
}

bool IsExpected(const TextChange& change, absl::Span<const uint8_t> present) {
  return std::equal(change.expected.begin(), change.expected.end(), present.begin());
}

// The changes in order of address, to find the one that covers an instruction.
class Windows {
 public:
  explicit Windows(absl::Span<const TextChange> changes) : changes_(changes) {
    for (size_t i = 0; i < changes.size(); ++i) {
      if (!changes[i].landmarks.empty()) order_.push_back(i);
    }
    SortByAddress(changes, order_);
  }

  // As NewPlace, for a thread inside a system call: the kernel may go back to the instruction,
  // which is the last of the code to be written over.
  absl::optional<uint64_t> NewPlaceInCall(uint64_t pc) {
    const absl::optional<size_t> index = Before(pc);
    if (!index.has_value()) return absl::nullopt;
    const TextChange& change = changes_[*index];
    const uint64_t offset = pc - change.address;
    if (offset != change.bytes.size() || offset > change.expected.size()) return NewPlace(pc);
    const uint64_t call = offset - kSystemCall.size();
    const auto code = change.expected.begin() + static_cast<std::ptrdiff_t>(call);
    if (!std::equal(kSystemCall.begin(), kSystemCall.end(), code)) return absl::nullopt;
    for (const patch::Landmark& landmark : change.landmarks) {
      // The copy of the instruction is as long as the original.
      if (landmark.original == call)
        return change.relocated + landmark.relocated + kSystemCall.size();
    }
    return absl::nullopt;
  }

  // Where code at `pc` goes on; nullopt: where it is.
  absl::optional<uint64_t> NewPlace(uint64_t pc) {
    const absl::optional<size_t> index = Before(pc);
    if (!index.has_value()) return absl::nullopt;
    const TextChange& change = changes_[*index];
    const uint64_t offset = pc - change.address;
    if (offset >= change.bytes.size()) return absl::nullopt;
    for (const patch::Landmark& landmark : change.landmarks) {
      if (landmark.original == offset) return change.relocated + landmark.relocated;
    }
    blocked_.push_back(*index);
    return absl::nullopt;
  }

  std::vector<size_t> TakeBlocked() {
    std::sort(blocked_.begin(), blocked_.end());
    blocked_.erase(std::unique(blocked_.begin(), blocked_.end()), blocked_.end());
    return std::move(blocked_);
  }

 private:
  // The last change that starts below `pc`: at its first byte nothing of it has run.
  absl::optional<size_t> Before(uint64_t pc) const {
    const auto after = std::lower_bound(
        order_.begin(), order_.end(), pc,
        [&](size_t index, uint64_t address) { return changes_[index].address < address; });
    if (after == order_.begin()) return absl::nullopt;
    return *(after - 1);
  }

  const absl::Span<const TextChange> changes_;
  std::vector<size_t> order_;
  std::vector<size_t> blocked_;
};

// By writing what is there.
absl::Status TryWriting(inject::RemoteProcess& process, uint64_t address) {
  uint8_t byte = 0;
  absl::Status status = process.Read(address, absl::MakeSpan(&byte, 1));
  if (status.ok()) status = process.Write(address, absl::MakeConstSpan(&byte, 1));
  if (status.ok()) return status;
  const absl::StatusOr<inject::MemoryMap> map = inject::MemoryMap::Read(process.pid());
  if (!map.ok()) return status;
  const absl::Status known = CheckChangeable(process.pid(), *map, {address});
  return known.ok() ? status : known;
}

// What the signal handlers of a thread return to.
absl::Status MoveInterrupted(inject::RemoteProcess& process, const inject::MemoryMap& map,
                             uint64_t stack_pointer, Windows& windows) {
  for (const SignalFrame& frame : ReadStacks(process, map, stack_pointer).signal_frames) {
    const absl::optional<uint64_t> place = windows.NewPlace(frame.pc);
    if (!place.has_value()) continue;
    const absl::Status written = process.Write(
        frame.pc_address,
        absl::MakeConstSpan(reinterpret_cast<const uint8_t*>(&*place), sizeof(*place)));
    if (!written.ok()) return written;
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<size_t> FindUnexpected(const inject::RemoteProcess& process,
                                   absl::Span<const TextChange> changes) {
  std::vector<size_t> unexpected;
  for (const Run& run : MakeRuns(changes)) {
    std::vector<uint8_t> present(run.high - run.low);
    const bool whole = process.Read(run.low, absl::MakeSpan(present)).ok();
    for (const size_t index : run.changes) {
      const TextChange& change = changes[index];
      const absl::Span<uint8_t> own =
          absl::MakeSpan(present).subspan(change.address - run.low, change.expected.size());
      // Part of the run may have been unmapped.
      const bool readable = whole || process.Read(change.address, own).ok();
      if (!readable || !IsExpected(change, own)) unexpected.push_back(index);
    }
  }
  std::sort(unexpected.begin(), unexpected.end());
  return unexpected;
}

absl::StatusOr<std::vector<size_t>> MoveThreads(ThreadControl& threads,
                                                inject::RemoteProcess& process,
                                                absl::Span<const TextChange> changes) {
  Windows windows(changes);
  const absl::StatusOr<inject::MemoryMap> map = inject::MemoryMap::Read(process.pid());
  if (!map.ok()) return map.status();
  for (const pid_t tid : threads.stopped()) {
    absl::StatusOr<user_regs_struct> registers = threads.Registers(tid);
    // Killed meanwhile: it runs nothing any more.
    if (!registers.ok()) continue;
    const bool in_call = static_cast<int64_t>(registers->orig_rax) >= 0;
    const absl::optional<uint64_t> place =
        in_call ? windows.NewPlaceInCall(registers->rip) : windows.NewPlace(registers->rip);
    if (place.has_value()) {
      registers->rip = *place;
      const absl::Status moved = threads.SetRegisters(tid, *registers);
      if (!moved.ok()) return moved;
    }
    const absl::Status moved = MoveInterrupted(process, *map, registers->rsp, windows);
    if (!moved.ok()) return moved;
  }
  return windows.TakeBlocked();
}

absl::Status WriteText(inject::RemoteProcess& process, absl::Span<const TextChange> changes) {
  const std::vector<Run> runs = MakeRuns(changes);
  for (const Run& run : runs) {
    const absl::Status writable = TryWriting(process, run.low);
    if (!writable.ok()) return writable;
  }
  for (const Run& run : runs) {
    std::vector<uint8_t> text(run.high - run.low);
    if (run.changes.size() > 1 && process.Read(run.low, absl::MakeSpan(text)).ok()) {
      for (const size_t index : run.changes) {
        const TextChange& change = changes[index];
        std::copy(change.bytes.begin(), change.bytes.end(),
                  text.begin() + static_cast<std::ptrdiff_t>(change.address - run.low));
      }
      const absl::Status written = process.Write(run.low, text);
      if (!written.ok()) return written;
      continue;
    }
    for (const size_t index : run.changes) {
      const absl::Status written = process.Write(changes[index].address, changes[index].bytes);
      if (!written.ok()) return written;
    }
  }
  return absl::OkStatus();
}

}  // namespace flightrec::target
