// Turns producers' batches into one write: checks them against what the store holds and what the
// same write already adds. A batch is taken as a whole or refused as a whole.
//
// Not thread-safe: belongs to the committing thread. Does not write to the database.
#ifndef SERVICES_BACKEND_STORE_STAGER_H_
#define SERVICES_BACKEND_STORE_STAGER_H_

#include <rocksdb/write_batch.h>

#include <cstdint>
#include <optional>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/ids/ulid.h"
#include "services/backend/store/batch.h"
#include "services/backend/store/commit_watch.h"
#include "services/backend/store/database.h"
#include "services/backend/store/index_entry.h"
#include "services/backend/store/ledger.h"

namespace flightrec::backend {

// What a write adds, for the counters.
struct StagedTotals {
  uint64_t chunks = 0;
  uint64_t calls = 0;
  uint64_t chunk_bytes = 0;
  uint64_t duplicate_chunks = 0;
};

// How much later than a recording's last_received_time something of it may come before that is
// written again.
inline constexpr absl::Duration kReceivedTimeStep = absl::Seconds(10);

// Unless told otherwise.
inline constexpr uint64_t kDefaultMaxRecordings = 1'000'000;

class Stager {
 public:
  // Both outlive it. Beyond `max_recordings`, those in the trash included, no new one is taken.
  Stager(const Database& database, clock::Clock& clock,
         uint64_t max_recordings = kDefaultMaxRecordings)
      : database_(database), clock_(clock), max_recordings_(max_recordings), ledger_(database) {}

  // FAILED_PRECONDITION: the store knows a later epoch. The result is the durable sequence of the
  // epoch.
  absl::StatusOr<uint64_t> OpenProducer(const Producer& producer);
  // FAILED_PRECONDITION: a sequence is missing before this one. ABORTED: the producer has opened a
  // later epoch. INVALID_ARGUMENT: sequence 0.
  absl::StatusOr<BatchResult> Add(Batch batch);
  // Moves the recording to the trash, so that nothing of it is given out; NOT_FOUND when there is
  // none.
  absl::Status Delete(const std::string& tenant, const ids::Ulid& recording, absl::Time now,
                      absl::Time purge_time);
  // Takes it out of the trash; NOT_FOUND when it is not there. One that was in progress is failed
  // if something of it was refused meanwhile.
  absl::Status Undelete(const std::string& tenant, const ids::Ulid& recording);
  // Removes everything of a recording, in the trash or not, for good; NOT_FOUND when there is none.
  // FAILED_PRECONDITION: it is in progress and not in the trash.
  absl::Status Purge(const std::string& tenant, const ids::Ulid& recording);
  // FAILED_PRECONDITION: `purge_time` is not that of the recording in the trash, or, nullopt, it
  // has got there meanwhile.
  absl::Status PurgeSeen(const std::string& tenant, const ids::Ulid& recording,
                         std::optional<int64_t> purge_time);

  // What has been staged since the last Clear.
  rocksdb::WriteBatch& write() { return write_; }
  const StagedTotals& totals() const { return totals_; }
  // Of the recordings that it touches.
  const CommittedPositions& positions() const { return positions_; }

  // After the write: `written` says whether it is on disk.
  void Clear(bool written);

 private:
  // What one batch changes, dropped when the batch is refused.
  struct Changes {
    absl::flat_hash_map<std::string, RecordingEntry> recordings;
    absl::flat_hash_map<std::string, IndexEntry> chunks;
    absl::flat_hash_map<std::string, std::string> recording_bytes;
    uint64_t new_recordings = 0;
    StagedTotals totals;
  };
  using Outcome = absl::StatusOr<std::optional<Refusal>>;

  Outcome AddItems(const std::string& tenant, const std::vector<Item>& items, Changes& changes);
  Outcome AddItem(const std::string& tenant, const RecordingItem& item, Changes& changes);
  Outcome AddItem(const std::string& tenant, const ProcessItem& item, Changes& changes);
  Outcome AddItem(const std::string& tenant, const ThreadItem& item, Changes& changes);
  Outcome AddItem(const std::string& tenant, const FunctionsItem& item, Changes& changes);
  Outcome AddItem(const std::string& tenant, const ChunkItem& item, Changes& changes);

  // The recording as this batch sees it.
  absl::StatusOr<RecordingEntry*> FindRecording(const std::string& tenant, const ids::Ulid& id,
                                                Changes& changes);
  // A refusal when there are too many.
  Outcome RequireRoomForRecording(const ids::Ulid& id, const Changes& changes);
  // A refusal when the recording is unknown or deleted. Otherwise notes that something of it came.
  Outcome RequireRecording(const std::string& tenant, const ids::Ulid& id, Changes& changes);
  // The entry of a chunk that is stored, staged, or earlier in the batch.
  absl::StatusOr<std::optional<IndexEntry>> FindChunk(const std::string& index_key,
                                                      const Changes& changes) const;
  // Of a recording in the trash something was refused: if it was in progress, it lacks that.
  absl::Status NoteRefused(const std::string& tenant, const Item& item);
  // Of what is being added.
  absl::Status NoteReceived(const std::string& key, RecordingEntry& recording, Changes& changes);
  void PutRecording(std::string key, trace::v1::Recording recording, RecordingEntry& entry,
                    Changes& changes);
  void Merge(Changes changes);
  // What the family has of a recording, or what this write has put there.
  template <typename Entry>
  absl::StatusOr<Entry> ReadEntry(Family family, const std::string& key) const;

  const Database& database_;
  clock::Clock& clock_;
  const uint64_t max_recordings_;
  Ledger ledger_;
  rocksdb::WriteBatch write_;
  StagedTotals totals_;
  CommittedPositions positions_;
  // Staged, not on disk yet.
  absl::flat_hash_map<std::string, IndexEntry> staged_chunks_;
  absl::flat_hash_map<std::string, std::string> staged_recordings_;
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_STORE_STAGER_H_
