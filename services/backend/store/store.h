// The backend's store: what producers hand in, durable, and given out again.
//
// Thread-safe. Writes go through one committing thread and complete by callback, on that thread;
// reads block on the disk. Keeps chunks as they came. Does not know gRPC, credits or page tokens,
// and does not check who may do what: the tenant is the caller's business.
#ifndef SERVICES_BACKEND_STORE_STORE_H_
#define SERVICES_BACKEND_STORE_STORE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/ids/resource_name.h"
#include "common/ids/ulid.h"
#include "common/metrics/registry.h"
#include "flightrec/trace/v1/trace.pb.h"
#include "services/backend/store/batch.h"
#include "services/backend/store/chunk_cursor.h"
#include "services/backend/store/commit_watch.h"
#include "services/backend/store/committer.h"
#include "services/backend/store/database.h"
#include "services/backend/store/rollup_worker.h"
#include "services/backend/store/tail_cursor.h"
#include "services/backend/store/trash_entry.h"

namespace flightrec::backend {

// A page that a filter makes thin ends after looking at this many recordings.
inline constexpr size_t kMaxRecordingsScanned = 10000;
// NearestRecordings looks at this many, newest first.
inline constexpr size_t kMaxNearestScanned = 1000;

// Some of a list. `cursor` is where the next page begins, opaque to the caller; empty: this is the
// last one.
template <typename T>
struct Page {
  std::vector<T> items;
  std::string cursor;
};

struct PageLimits {
  size_t items = 0;
  // A page ends with the item that goes over it.
  size_t bytes = size_t{1} << 20;
};

class Store {
 public:
  // Errors as Database::Open. `clock` and `registry` outlive the store.
  static absl::StatusOr<std::unique_ptr<Store>> Open(
      const std::string& directory, clock::Clock& clock, metrics::Registry& registry,
      const DatabaseOptions& options = {}, uint64_t max_recordings = kDefaultMaxRecordings);

  // What opening the store found; see Database.
  const Database& database() const { return *database_; }

  // See Committer.
  void OpenProducer(Producer producer, OpenCallback done);
  void Commit(Batch batch, BatchCallback done);
  // Hides the recording; for good when `undelete_window` is zero.
  void Delete(std::string tenant, const ids::Ulid& recording, absl::Duration undelete_window,
              ChangeCallback done);
  void Undelete(std::string tenant, const ids::Ulid& recording, ChangeCallback done);
  // For good. `purge_time`: as its TrashEntry had it, nullopt when it was not in the trash.
  // FAILED_PRECONDITION: that is not so any more, or it is in progress.
  void Purge(std::string tenant, const ids::Ulid& recording, std::optional<int64_t> purge_time,
             ChangeCallback done);
  // Gives back the disk space of what was purged. Blocks; writes go on. DATA_LOSS: a table is
  // damaged, which is so the next time as well.
  absl::Status Reclaim();
  absl::Status MakeCheckpoint(const std::string& directory);

  // NOT_FOUND names the recording.
  absl::StatusOr<trace::v1::Recording> GetRecording(absl::string_view tenant,
                                                    const ids::Ulid& recording) const;
  // Nothing when there is none.
  absl::StatusOr<std::optional<ids::Ulid>> LatestRecording(absl::string_view tenant) const;
  // Resource names that differ least from `name`, best first.
  absl::StatusOr<std::vector<std::string>> NearestRecordings(absl::string_view tenant,
                                                             absl::string_view name,
                                                             size_t limit) const;

  // Newest first; `keep` decides which are listed.
  using RecordingFilter = std::function<bool(const trace::v1::Recording&)>;
  absl::StatusOr<Page<trace::v1::Recording>> ListRecordings(absl::string_view tenant,
                                                            absl::string_view cursor,
                                                            const PageLimits& limits,
                                                            const RecordingFilter& keep) const;

  // Those in the trash.
  absl::StatusOr<Page<TrashEntry>> ListDeletedRecordings(absl::string_view tenant,
                                                         absl::string_view cursor,
                                                         const PageLimits& limits) const;

  // Every recording of every tenant, oldest first within a tenant; those that do not parse are left
  // out.
  absl::Status VisitRecordings(
      const std::function<void(absl::string_view tenant, const trace::v1::Recording& recording)>&
          visit) const;
  absl::Status VisitDeletedRecordings(
      const std::function<void(absl::string_view tenant, const TrashEntry& trashed)>& visit) const;
  // Of its chunks.
  absl::StatusOr<uint64_t> BytesOf(absl::string_view tenant, const ids::Ulid& recording) const;

  // In the order of their ids. Empty when the recording is unknown.
  absl::StatusOr<Page<trace::v1::Process>> ListProcesses(absl::string_view tenant,
                                                         const ids::Ulid& recording,
                                                         absl::string_view cursor,
                                                         const PageLimits& limits) const;
  absl::StatusOr<Page<trace::v1::Thread>> ListThreads(absl::string_view tenant,
                                                      const ids::Ulid& recording,
                                                      std::optional<ids::ProcessId> process,
                                                      absl::string_view cursor,
                                                      const PageLimits& limits) const;
  absl::StatusOr<Page<trace::v1::Function>> ListFunctions(absl::string_view tenant,
                                                          const ids::Ulid& recording,
                                                          absl::string_view cursor,
                                                          const PageLimits& limits) const;

  // The cursor must not outlive the store.
  absl::StatusOr<ChunkCursor> ReadChunks(ChunkQuery query) const;
  absl::StatusOr<TailCursor> Tail(TailQuery query) const;
  CommitWatch& watch() { return watch_; }

  // Makes rollups from now on, in the background. Once.
  void StartRollups(metrics::Registry& registry, size_t max_pending = kMaxPendingRecordings);
  // Null before StartRollups.
  RollupWorker* rollups() { return rollups_.get(); }
  // At most `limit` of those after the position, in order; each is a ChunkRollup.
  absl::StatusOr<std::vector<std::string>> ReadRollups(absl::string_view tenant,
                                                       const ids::Ulid& recording,
                                                       uint64_t after_position, size_t limit) const;
  // 0: it has no chunk.
  absl::StatusOr<uint64_t> LastPosition(absl::string_view tenant, const ids::Ulid& recording) const;

 private:
  Store(std::unique_ptr<Database> database, clock::Clock& clock, metrics::Registry& registry,
        uint64_t max_recordings);

  clock::Clock& clock_;
  const std::unique_ptr<Database> database_;
  CommitWatch watch_;
  // Uses the above.
  Committer committer_;
  // Uses the database and the watch.
  std::unique_ptr<RollupWorker> rollups_;
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_STORE_STORE_H_
