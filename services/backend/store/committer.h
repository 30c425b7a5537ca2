// Group commit: one thread takes what all sessions have handed in, makes one synced write of it and
// then tells each of them. Nobody is told before the write-ahead log is on disk.
//
// Thread-safe. Completions run on the committing thread and must not block. Holds what is handed
// in: the callers bound it (ingest credits).
#ifndef SERVICES_BACKEND_STORE_COMMITTER_H_
#define SERVICES_BACKEND_STORE_COMMITTER_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/clock/clock.h"
#include "common/metrics/registry.h"
#include "services/backend/store/batch.h"
#include "services/backend/store/commit_watch.h"
#include "services/backend/store/database.h"
#include "services/backend/store/stager.h"

namespace flightrec::backend {

// One write takes at most this much; a group is closed by the batch that goes over it.
inline constexpr size_t kMaxGroupBytes = size_t{16} << 20;
inline constexpr size_t kMaxGroupRequests = 512;

using OpenCallback = std::function<void(absl::StatusOr<uint64_t> durable_sequence)>;
using BatchCallback = std::function<void(absl::StatusOr<BatchResult>)>;
// What to stage, on the committing thread; its result is given to the callback when it is durable.
using Change = std::function<absl::Status(Stager&)>;
using ChangeCallback = std::function<void(absl::Status)>;

class Committer {
 public:
  // All outlive the committer.
  Committer(Database& database, CommitWatch& watch, clock::Clock& clock,
            metrics::Registry& registry, uint64_t max_recordings);
  // Commits what was handed in before.
  ~Committer();
  Committer(const Committer&) = delete;
  Committer& operator=(const Committer&) = delete;

  // Results are those of Stager's functions, or why the write failed.
  void OpenProducer(Producer producer, OpenCallback done);
  void Commit(Batch batch, BatchCallback done);
  void Apply(Change change, ChangeCallback done);

 private:
  struct OpenRequest {
    Producer producer;
    OpenCallback done;
  };
  struct BatchRequest {
    Batch batch;
    BatchCallback done;
  };
  struct ChangeRequest {
    Change change;
    ChangeCallback done;
  };
  using Request = std::variant<OpenRequest, BatchRequest, ChangeRequest>;
  // Called with the outcome of the write; gives the request's own result when that is ok.
  using Completion = std::function<void(const absl::Status& written)>;

  void Enqueue(Request request);
  void Run();
  // Empty: stopping and nothing is left.
  std::vector<Request> TakeGroup();
  void CommitGroup(std::vector<Request> group);
  // After a failed write, before anything is staged: positions and sequences are read from what the
  // database holds.
  absl::Status Recover();
  // What the log gave back of the write that failed is news like any other.
  void AnnounceRecovered();
  Completion Stage(OpenRequest& request);
  Completion Stage(BatchRequest& request);
  Completion Stage(ChangeRequest& request);

  Database& database_;
  CommitWatch& watch_;
  clock::Clock& clock_;
  metrics::Counter& commits_;
  metrics::Counter& failed_commits_;
  metrics::Counter& chunks_;
  metrics::Counter& calls_;
  metrics::Counter& chunk_bytes_;
  metrics::Counter& duplicate_chunks_;
  metrics::Histogram& commit_seconds_;
  Stager stager_;
  // Of the write that failed: it may be in the log.
  CommittedPositions unsure_;

  absl::Mutex mutex_;
  std::deque<Request> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  // Last: uses all of the above.
  std::thread thread_;
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_STORE_COMMITTER_H_
