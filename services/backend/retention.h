// Removes recordings for good: deleted ones when their time to be brought back is over, others when
// they are too old or there are too many bytes. Never one in progress.
//
// One thread of its own. Its removals go through the store's one writer like every other write;
// disk space comes back by a compaction that makes nobody wait. Does not hide recordings: that is
// DeleteRecording.
#ifndef SERVICES_BACKEND_RETENTION_H_
#define SERVICES_BACKEND_RETENTION_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/ids/ulid.h"
#include "common/log/logger.h"
#include "common/metrics/registry.h"
#include "services/backend/backend_config.h"
#include "services/backend/store/store.h"

namespace flightrec::backend {

// Of one look; the rest goes with the next one.
inline constexpr size_t kMaxPurges = 1000;
// When the wall clock has moved this much more or less than time has passed since the start, nobody
// knows how old anything is: nothing is removed for its age until it is back or the backend starts
// anew.
inline constexpr absl::Duration kMaxClockStep = absl::Hours(1);

class Retention {
 public:
  // All outlive it.
  Retention(Store& store, const RetentionLimits& limits, clock::Clock& clock, log::Logger& logger,
            metrics::Registry& registry);
  // Waits for a look that is under way.
  ~Retention();
  Retention(const Retention&) = delete;
  Retention& operator=(const Retention&) = delete;

  void Start();
  // One look; how many recordings it removed. Not while it is started.
  absl::StatusOr<size_t> RunOnce();

 private:
  struct Candidate {
    std::string tenant;
    ids::Ulid id;
    // Of the end for others, of the purge for deleted ones.
    absl::Time due;
    uint64_t bytes = 0;
    bool deleted = false;
    bool in_progress = false;
  };
  struct Victim {
    Candidate recording;
    const char* reason;
  };

  void Run();
  absl::Status Look(std::vector<Candidate>& recordings);
  // Of its chunks; adds it to `known` when it gets no more.
  uint64_t BytesOf(const Candidate& recording, absl::flat_hash_map<std::string, uint64_t>& known);
  bool ClockIsSound(absl::Time now);
  std::vector<Victim> Choose(const std::vector<Candidate>& recordings);
  absl::Status Purge(const Victim& victim);

  Store& store_;
  const RetentionLimits limits_;
  clock::Clock& clock_;
  log::Logger& logger_;
  metrics::Registry& registry_;
  metrics::Gauge& recordings_;
  metrics::Gauge& bytes_;
  metrics::Gauge& clock_unsound_;
  metrics::Counter& failures_;
  const absl::Time started_at_;
  const absl::Duration started_after_;
  // Of recordings that get no more chunks and were there at the last look, by tenant and id.
  absl::flat_hash_map<std::string, uint64_t> known_bytes_;
  // Something was purged since the last compaction that went through, or cannot.
  bool reclaim_due_ = false;

  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_RETENTION_H_
