// Makes the rollups of chunks in the background, from the first chunk of each recording on without
// gaps, so that the last rollup says how far it is. They are derived: what is missing, because the
// backend ended or the column family was dropped, is made again.
//
// One thread of its own, which runs when nobody else wants the processor. Thread-safe. Chunks that
// do not decode get a rollup that says so.
#ifndef SERVICES_BACKEND_STORE_ROLLUP_WORKER_H_
#define SERVICES_BACKEND_STORE_ROLLUP_WORKER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/metrics/registry.h"
#include "services/backend/store/commit_watch.h"
#include "services/backend/store/database.h"

namespace flightrec::backend {

// Recordings that wait; beyond it the worker looks at all of them when it has caught up.
inline constexpr size_t kMaxPendingRecordings = 10000;
// Of one recording before the next one's turn.
inline constexpr size_t kRollupsPerTurn = 64;
// Until it looks again after the store refused to be read, while a failed write is recovered from
// for one.
inline constexpr absl::Duration kRollupRetryPause = absl::Seconds(1);

class RollupWorker {
 public:
  // All outlive the worker. Begins with every recording of the store, `max_pending` at a time.
  RollupWorker(Database& database, CommitWatch& watch, clock::Clock& clock,
               metrics::Registry& registry, size_t max_pending = kMaxPendingRecordings);
  // Ends after the chunk under way.
  ~RollupWorker();
  RollupWorker(const RollupWorker&) = delete;
  RollupWorker& operator=(const RollupWorker&) = delete;

  // Until every chunk committed before has its rollup, for tests.
  void WaitUntilIdle();

 private:
  void Run();
  void AddPending(const std::string& recording_key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Of all recordings, from where the last call ended, as many as may be pending.
  void AddRecordings();
  // Until the next attempt, or the end.
  void Pause() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool stopping() const;
  // Whether there may be more to do.
  absl::StatusOr<bool> RollUp(const std::string& recording_key);
  // False: there is no such chunk.
  absl::StatusOr<bool> RollUpChunk(const std::string& recording_key, uint64_t position);
  absl::Status Write(const std::string& recording_key, uint64_t position, const std::string& value);

  Database& database_;
  CommitWatch& watch_;
  clock::Clock& clock_;
  const size_t max_pending_;
  metrics::Counter& rollups_;
  metrics::Counter& unreadable_;
  metrics::Counter& failures_;
  metrics::Gauge& pending_recordings_;

  mutable absl::Mutex mutex_;
  std::deque<std::string> pending_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<std::string> is_pending_ ABSL_GUARDED_BY(mutex_);
  bool look_at_all_ ABSL_GUARDED_BY(mutex_) = true;
  // Somebody did not get in: look at all once more from the first one.
  bool overflowed_ ABSL_GUARDED_BY(mutex_) = false;
  // The key where AddRecordings goes on; only the worker's thread uses it.
  std::string next_of_all_;
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  // Last: uses all of the above.
  std::thread thread_;
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_STORE_ROLLUP_WORKER_H_
