// The tracer's end of a lane file: takes records, losses and open calls out of
// the slots of a process.
//
// One reader per lane file, used by one thread at a time. Reads what the traced
// process writes at the same moment and trusts none of it: numbers out of range
// are skipped. Decides nothing about when a thread has ended: Release is the
// caller's to call.
#ifndef SERVICES_TRACER_LANE_LANE_READER_H_
#define SERVICES_TRACER_LANE_LANE_READER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "services/tracer/lane/lane_file.h"
#include "services/tracer/lane/layout.h"

namespace flightrec::lane {

struct LaneThread {
  uint32_t slot = 0;
  uint32_t tid = 0;
  uint64_t ordinal = 0;      // order of registration, from 1
  uint64_t start_ticks = 0;  // raw TSC at registration
};

// A call that has not ended, or that was open when its thread ended.
struct OpenCall {
  uint64_t start_ticks = 0;
  uint64_t path = 0;
  uint32_t function_index = 0;
  uint32_t ordinal_low = 0;
};

struct FunctionLoss {
  uint32_t function_index = 0;
  uint64_t calls = 0;
};

// Calls without a record, or filtered, since the last question about the same thread.
struct Losses {
  uint64_t full = 0;                    // the lane was full
  uint64_t depth = 0;                   // deeper than the limit
  uint64_t migrated = 0;                // ended on another thread than it began on
  std::vector<FunctionLoss> functions;  // sums up to the three
  std::vector<FunctionLoss> filtered;   // left out on purpose
};

// Threads that got no lane, since the start of the process.
struct Refusals {
  uint64_t by_limit = 0;
  uint64_t by_memory = 0;
  uint64_t calls = 0;  // calls seen in those threads
};

// Child processes, by the function that started them, since the start of the process.
struct ProcessStarts {
  uint64_t fork = 0;
  uint64_t vfork = 0;
  uint64_t posix_spawn = 0;
  uint64_t clone = 0;
};

// How far the drain of a thread has come, in its slot.
struct DrainProgress {
  uint64_t chunks = 0;  // ordinal of the next one
  // Of one of its calls.
  uint64_t ordinal = 0;
  uint64_t start_ticks = 0;
};

// What became of all calls of a process so far, whoever has read its lanes.
struct LaneHistory {
  uint64_t written = 0;  // records
  uint64_t taken = 0;    // of those, read
  uint64_t durable = 0;  // of those, known to be kept
  Losses losses;
};

class LaneReader {
 public:
  // The tid here of a thread by the one it knows itself, which is another in a container, and the
  // ordinal of its registration, 0 for none.
  using NameThread = std::function<uint32_t(uint32_t tid, uint64_t ordinal)>;

  // `file` must outlive the reader. Without `name_thread` tids are those that the threads know.
  explicit LaneReader(const LaneFile& file, NameThread name_thread = nullptr);

  // Registered threads whose slot was not released, in slot order.
  std::vector<LaneThread> Threads();

  // Takes up to out.size() records of a slot, oldest first.
  size_t Drain(uint32_t slot, absl::Span<CallRecord> out);

  Losses TakeLosses(uint32_t slot);

  // Instead of the first TakeLosses of all slots, after another tracer was killed. Later ones tell
  // what comes afterwards. NOT_FOUND, DATA_LOSS: the file cannot be read.
  absl::StatusOr<LaneHistory> TakeHistory();

  // Of the slot's thread; all zero if it is new.
  DrainProgress progress(uint32_t slot) const;
  // Before a chunk is handed over.
  void SetProgress(uint32_t slot, const DrainProgress& progress);

  // From the outermost call to the innermost; of a running thread a snapshot
  // of a moment that may be torn at its upper end.
  std::vector<OpenCall> OpenCalls(uint32_t slot) const;

  Refusals refusals() const;

  ProcessStarts process_starts() const;

  // Tids of threads that were refused, some of which may have ended. Beyond the lane's limit they
  // are left out.
  std::vector<uint32_t> RefusedTids() const;

  // From the next call on, those of the slot's thread are counted as filtered, or recorded again.
  // Only with kFilters.
  void SetMuted(uint32_t slot, bool muted);

  // Gives the slot of an ended thread to the next one. Everything wanted from
  // it has been taken, and no other thread may run on its block any more.
  void Release(uint32_t slot);

 private:
  // A thread may have claimed the slot and found no memory for it: reading it would be a SIGBUS.
  bool IsReadable(uint32_t slot);

  struct SlotMemory {
    bool readable = false;
    uint64_t full = 0;
    uint64_t depth = 0;
    uint64_t migrated = 0;
    std::vector<uint64_t> drops;  // per function; empty until the first drop
    std::vector<uint64_t> filtered;
  };

  uint32_t Named(uint32_t tid, uint64_t ordinal) const {
    return name_thread_ == nullptr ? tid : name_thread_(tid, ordinal);
  }

  const LaneFile& file_;
  const NameThread name_thread_;
  std::vector<SlotMemory> slots_;
};

}  // namespace flightrec::lane

#endif  // SERVICES_TRACER_LANE_LANE_READER_H_
