// Makes the chunks of one traced thread out of the records of its lane.
//
// Not thread-safe. Reads no lane and sends nothing.
#ifndef SERVICES_TRACER_DRAIN_THREAD_DRAIN_H_
#define SERVICES_TRACER_DRAIN_THREAD_DRAIN_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "common/chunk/builder.h"
#include "common/chunk/chunk.h"
#include "services/tracer/drain/drain_options.h"
#include "services/tracer/drain/drain_sink.h"
#include "services/tracer/drain/drain_totals.h"
#include "services/tracer/drain/ordinal_extender.h"
#include "services/tracer/lane/lane_reader.h"
#include "services/tracer/lane/layout.h"

namespace flightrec::drain {

class ThreadDrain {
 public:
  // `process` must outlive the drain. `progress`: of whoever has drained the thread before.
  ThreadDrain(const ProcessIdentity& process, const DrainedThread& thread,
              const lane::DrainProgress& progress = {});

  lane::DrainProgress progress() const {
    return {next_chunk_ordinal_, ordinals_.last_ordinal(), ordinals_.last_start_ticks()};
  }

  const DrainedThread& thread() const { return thread_; }
  const DrainTotals& totals() const { return totals_; }

  // Records in the order of the lane, drained at `now`.
  void Add(absl::Span<const lane::CallRecord> records, absl::Duration now);

  // Calls without a record, lost or filtered; the next chunk tells them.
  void AddLosses(const lane::Losses& losses);

  // The calls that are open as the next chunk begins.
  void SetOpenCalls(absl::Span<const lane::OpenCall> calls);

  // Calls that wait to be sealed.
  size_t call_count() const;
  // When the first of them was added.
  absl::Duration first_added() const { return first_added_; }

  // A chunk of the calls that wait; not all of them if they do not fit. Nothing if none waits.
  absl::optional<EncodedChunk> Seal(int compression_level);

  // The chunk that Seal gave last was dropped: the next one takes its place in the sequence and
  // tells its calls as lost.
  void TakeBack();

  // The thread's last chunk. No call waits.
  EncodedChunk SealFinal(absl::Span<const lane::OpenCall> never_ended, int compression_level);

 private:
  chunk::ChunkHeader MakeHeader() const;
  std::vector<chunk::OpenCall> Translate(absl::Span<const lane::OpenCall> calls, size_t limit);
  void Lose(ids::FunctionId function_id, uint64_t calls);
  uint64_t ClockError(const chunk::CallChunk& chunk) const;
  void TellLosses(chunk::CallChunk& chunk);
  void UntellLosses(const chunk::CallChunk& chunk);
  EncodedChunk Sealed(std::string bytes, uint64_t calls);

  const ProcessIdentity& process_;
  const DrainedThread thread_;
  OrdinalExtender ordinals_;
  chunk::CallChunkBuilder builder_;
  absl::Duration first_added_ = absl::ZeroDuration();
  std::vector<chunk::OpenCall> open_calls_;
  // Built but not sealed yet: parts of a chunk that did not fit, in reverse order.
  std::vector<chunk::CallChunk> parts_;
  // What Seal gave last.
  chunk::CallChunk last_;
  uint64_t next_chunk_ordinal_ = 0;
  // Not told yet.
  uint64_t lost_ = 0;
  // Losses by cause less those by function, modulo 2^64. The thread counts on while both are read;
  // when it has ended, what is left are calls whose function is not known.
  uint64_t untold_ = 0;
  absl::flat_hash_map<ids::FunctionId, uint64_t> lost_by_function_;
  absl::flat_hash_map<ids::FunctionId, uint64_t> filtered_by_function_;
  DrainTotals totals_;
};

}  // namespace flightrec::drain

#endif  // SERVICES_TRACER_DRAIN_THREAD_DRAIN_H_
