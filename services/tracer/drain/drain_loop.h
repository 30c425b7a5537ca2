// Takes the calls of one traced process out of its lanes until it ends: one thread that polls the
// lanes and makes chunks of what it finds.
//
// The traced process is never waited for nor stopped. Public methods are for one thread, except
// Totals and AddFunctions. Does not watch the process: its owner calls Finish when it has ended.
#ifndef SERVICES_TRACER_DRAIN_DRAIN_LOOP_H_
#define SERVICES_TRACER_DRAIN_DRAIN_LOOP_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "services/tracer/drain/drain_options.h"
#include "services/tracer/drain/drain_sink.h"
#include "services/tracer/drain/drain_totals.h"
#include "services/tracer/drain/thread_drain.h"
#include "services/tracer/lane/lane_reader.h"

namespace flightrec::drain {

class DrainLoop {
 public:
  // Which of these threads have ended, by ordinal, and left lanes that no living thread can still
  // take for its own.
  using FindEnded = std::function<std::vector<uint64_t>(const std::vector<lane::LaneThread>&)>;

  // What is passed by reference must outlive the loop. `reader` is used by the loop alone from
  // Start until Finish returns.
  DrainLoop(lane::LaneReader& reader, ProcessIdentity process, const DrainOptions& options,
            clock::Clock& clock, FindEnded find_ended, DrainSink& sink);
  // As Finish.
  ~DrainLoop();
  DrainLoop(const DrainLoop&) = delete;
  DrainLoop& operator=(const DrainLoop&) = delete;

  void Start();

  // Takes what is left, gives every thread its final chunk with the calls that have not ended, and
  // ends the loop. Of a process that writes on, a lane's worth is taken. The second call only
  // returns the totals.
  DrainTotals Finish();

  DrainTotals Totals() const;

  // Functions whose indexes follow those known so far. When it returns, calls of them may be made.
  // From any thread, one at a time, between Start and Finish.
  void AddFunctions(absl::Span<const ids::FunctionId> functions);

 private:
  struct LaneDrain {
    uint32_t slot;
    ThreadDrain drain;
  };

  void Run();
  // One look at every lane. Returns the largest share of a lane that was in use, 0 to 1.
  double DrainOnce();
  double DrainLane(LaneDrain& lane);
  size_t RoomIn(const ThreadDrain& drain) const;
  // `begin_ticks`: when the first call of the chunk ended.
  void BeginChunk(LaneDrain& lane, uint64_t begin_ticks);
  void TakeNewFunctions();
  void FindThreads();
  void EndThreads();
  void EndThread(LaneDrain& lane);
  void SealAll(LaneDrain& lane);
  absl::Duration PauseAfter(double fill);
  void PublishTotals();

  lane::LaneReader& reader_;
  ProcessIdentity process_;  // its functions grow
  const DrainOptions options_;
  clock::Clock& clock_;
  const FindEnded find_ended_;
  DrainSink& sink_;

  // Of the loop's thread.
  std::vector<std::unique_ptr<LaneDrain>> lanes_;
  std::vector<lane::CallRecord> buffer_;
  absl::Duration next_thread_check_ = absl::ZeroDuration();
  absl::Duration pause_ = absl::ZeroDuration();
  DrainTotals ended_totals_;  // of threads that have ended

  mutable absl::Mutex mutex_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  // Not taken by the loop yet.
  std::vector<ids::FunctionId> new_functions_ ABSL_GUARDED_BY(mutex_);
  DrainTotals totals_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace flightrec::drain

#endif  // SERVICES_TRACER_DRAIN_DRAIN_LOOP_H_
