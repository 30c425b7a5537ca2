// The RocksDB of one store: its column families, its lock, its format version.
//
// Thread-safe once open, except WriteSynced, write_failed and Recover, which belong to one thread.
// One process owns a store at a time. Knows bytes only: what they mean is the business of Store and
// Stager.
#ifndef SERVICES_BACKEND_STORE_DATABASE_H_
#define SERVICES_BACKEND_STORE_DATABASE_H_

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "services/backend/store/keys.h"

namespace flightrec::backend {

rocksdb::Slice ToSlice(absl::string_view text);
absl::string_view ToView(const rocksdb::Slice& slice);

// `what` says what was tried. RESOURCE_EXHAUSTED: the disk is full or read-only. DATA_LOSS:
// corruption. UNAVAILABLE: other trouble.
absl::Status FromRocks(const rocksdb::Status& status, absl::string_view what);

// What a database is opened with.
struct DatabaseOptions {
  // The machine: its files, its threads. Outlives the database.
  rocksdb::Env* env = rocksdb::Env::Default();
  // Of what is written but not flushed, over all families, and of the chunks among it.
  size_t memtable_bytes = size_t{128} << 20;
  size_t chunk_memtable_bytes = size_t{32} << 20;
  uint64_t blob_file_bytes = uint64_t{256} << 20;
};

class Database {
 public:
  // Makes the directory when it is absent and brings an older format up to date.
  // FAILED_PRECONDITION: another process owns the store (named), or a later program has written it.
  // DATA_LOSS: a log is damaged (place named) before its end: opening would drop what was synced.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& directory,
                                                        const DatabaseOptions& options = {});
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  const std::string& directory() const { return directory_; }
  // What Open left out: a write that a power cut interrupted, with its place. Empty: nothing.
  const std::string& interrupted_write() const { return interrupted_write_; }
  // The format that Open found; below kStoreFormatVersion: it has migrated the store.
  uint32_t opened_format_version() const { return opened_format_version_; }

  // Valid on the thread that writes.
  rocksdb::ColumnFamilyHandle* family(Family family) const {
    return families_[static_cast<size_t>(family)];
  }

  // Nothing when the key is absent.
  absl::StatusOr<std::optional<std::string>> Get(Family family, absl::string_view key) const;

  // Calls `visit` for the keys from `begin` (included) to `end` (not included), in order, until it
  // returns false.
  using Visitor = std::function<bool(absl::string_view key, absl::string_view value)>;
  absl::Status Scan(Family family, absl::string_view begin, absl::string_view end,
                    const Visitor& visit) const;
  // The same from the last key down to `begin`.
  absl::Status ScanBackwards(Family family, absl::string_view begin, absl::string_view end,
                             const Visitor& visit) const;

  // On disk when it returns ok. After an error write_failed() is true.
  absl::Status WriteSynced(rocksdb::WriteBatch& batch);
  // The last write failed and Recover has not worked yet: nothing may be derived from what the
  // database holds in order to write it.
  bool write_failed() const { return write_failed_; }
  // Brings the database back, if need be by opening it again, which waits for reads under way. The
  // write that failed may be there afterwards, from the log. After an error it may be called again.
  absl::Status Recover();
  // For what can be made again: may be lost in a power cut. From any thread.
  absl::Status Put(Family family, absl::string_view key, absl::string_view value);
  absl::Status DeleteRange(Family family, absl::string_view begin, absl::string_view end);

  // Gives back the disk space of keys that were deleted; of chunks, once all of their blob file
  // are. Writes go on. An error: a write has failed meanwhile, which ends it.
  absl::Status Reclaim(Family family);

  // A store of its own with all that was written before the call, as hard links where the file
  // system has them. `directory` must not exist.
  absl::Status MakeCheckpoint(const std::string& directory);

 private:
  Database(std::string directory, const DatabaseOptions& options)
      : directory_(std::move(directory)), options_(options) {}
  // `damage_found` gets what may turn out to be harmless.
  absl::Status CheckLogs(std::string& damage_found);
  absl::Status OpenRocks() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CloseRocks() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckRoomToOpen();
  absl::Status CheckFormatVersion();
  absl::Status CheckOpen() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  const std::string directory_;
  const DatabaseOptions options_;
  std::string interrupted_write_;
  uint32_t opened_format_version_ = 0;
  // Held shared by whoever uses db_, exclusively to open it again.
  mutable absl::Mutex mutex_;
  // Null when opening again has failed; write_failed_ is true then.
  std::unique_ptr<rocksdb::DB> db_ ABSL_GUARDED_BY(mutex_);
  // Changed by the writing thread only, under the mutex.
  std::array<rocksdb::ColumnFamilyHandle*, kFamilyCount> families_{};
  // Only the writing thread uses it.
  bool write_failed_ = false;
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_STORE_DATABASE_H_
