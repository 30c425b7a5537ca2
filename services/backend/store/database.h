// The RocksDB of one store: its column families, its lock, its format version.
//
// Thread-safe once open. One process owns a store at a time. Knows bytes only: what they mean is
// the business of Store and Stager.
#ifndef SERVICES_BACKEND_STORE_DATABASE_H_
#define SERVICES_BACKEND_STORE_DATABASE_H_

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/backend/store/keys.h"

namespace flightrec::backend {

rocksdb::Slice ToSlice(absl::string_view text);
absl::string_view ToView(const rocksdb::Slice& slice);

// `what` says what was tried. RESOURCE_EXHAUSTED: disk full. DATA_LOSS: corruption. UNAVAILABLE:
// other trouble.
absl::Status FromRocks(const rocksdb::Status& status, absl::string_view what);

class Database {
 public:
  // Makes the directory when it is absent. FAILED_PRECONDITION: another process owns the store
  // (named), or the store has a format that this program does not read.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& directory);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

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

  // On disk when it returns ok. After a failed write it first tries to bring the database back from
  // read-only.
  absl::Status WriteSynced(rocksdb::WriteBatch& batch);

 private:
  explicit Database(std::string directory) : directory_(std::move(directory)) {}
  absl::Status OpenRocks();
  absl::Status CheckFormatVersion();

  const std::string directory_;
  std::unique_ptr<rocksdb::DB> db_;
  std::array<rocksdb::ColumnFamilyHandle*, kFamilyCount> families_{};
  // Only the writing thread uses it.
  bool write_failed_ = false;
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_STORE_DATABASE_H_
