#include "services/backend/store/database.h"

#include <fcntl.h>
#include <rocksdb/cache.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace flightrec::backend {
namespace {

// Memory: blocks read, and what is written but not flushed, over all families.
constexpr size_t kBlockCacheBytes = size_t{64} << 20;
constexpr size_t kMemtableBytes = size_t{128} << 20;
constexpr size_t kChunkMemtableBytes = size_t{32} << 20;
constexpr uint64_t kMaxWalBytes = uint64_t{256} << 20;
constexpr int kMaxOpenFiles = 512;
// Files that are written in the background go to the disk in steps, not in one that commits wait
// behind.
constexpr uint64_t kBytesPerSync = uint64_t{1} << 20;
constexpr int kBackgroundJobs = 2;
constexpr size_t kKeptInfoLogs = 2;
constexpr size_t kInfoLogBytes = size_t{4} << 20;
// Chunks from here on go to blob files, so that compaction does not rewrite them.
constexpr uint64_t kMinBlobBytes = 1024;
constexpr uint64_t kBlobFileBytes = uint64_t{256} << 20;
constexpr double kBloomBitsPerKey = 10;

rocksdb::DBOptions DatabaseOptions() {
  rocksdb::DBOptions options;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.db_write_buffer_size = kMemtableBytes;
  options.max_total_wal_size = kMaxWalBytes;
  options.max_open_files = kMaxOpenFiles;
  options.max_background_jobs = kBackgroundJobs;
  options.info_log_level = rocksdb::WARN_LEVEL;
  options.keep_log_file_num = kKeptInfoLogs;
  options.max_log_file_size = kInfoLogBytes;
  options.bytes_per_sync = kBytesPerSync;
  return options;
}

std::vector<rocksdb::ColumnFamilyDescriptor> FamilyDescriptors() {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(kBlockCacheBytes);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kBloomBitsPerKey));
  rocksdb::ColumnFamilyOptions plain;
  plain.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  plain.compression = rocksdb::kLZ4Compression;

  rocksdb::ColumnFamilyOptions chunks = plain;
  // Chunks are compressed by who makes them.
  chunks.compression = rocksdb::kNoCompression;
  chunks.write_buffer_size = kChunkMemtableBytes;
  chunks.enable_blob_files = true;
  chunks.min_blob_size = kMinBlobBytes;
  chunks.blob_file_size = kBlobFileBytes;
  // It copies the oldest blobs, live or not, with every compaction. A file whose chunks are all
  // deleted goes without it.
  chunks.enable_blob_garbage_collection = false;

  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  for (size_t i = 0; i < kFamilyCount; ++i) {
    const Family family = static_cast<Family>(i);
    descriptors.emplace_back(FamilyName(family), family == Family::kChunks ? chunks : plain);
  }
  return descriptors;
}

// The process that holds the lock file; 0 when it has gone.
pid_t LockOwner(const std::string& directory) {
  const int fd = open(absl::StrCat(directory, "/LOCK").c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return 0;
  absl::Cleanup close_fd = [fd] { close(fd); };
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (fcntl(fd, F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) return 0;
  return lock.l_pid;
}

// OK when `status` is not about the lock.
absl::Status LockError(const rocksdb::Status& status, const std::string& directory) {
  // RocksDB has no subcode for it; both messages come from its lock function.
  const std::string text = status.ToString();
  if (absl::StrContains(text, "lock hold by current process")) {
    return absl::FailedPreconditionError(
        absl::StrCat("store ", directory, " is owned by process ", getpid(), ", this one"));
  }
  if (!absl::StrContains(text, "While lock file")) return absl::OkStatus();
  // Only asked for when this process holds no lock on the file: closing a descriptor drops them
  // all.
  return absl::FailedPreconditionError(
      absl::StrCat("store ", directory, " is owned by process ", LockOwner(directory)));
}

}  // namespace

rocksdb::Slice ToSlice(absl::string_view text) { return rocksdb::Slice(text.data(), text.size()); }

absl::string_view ToView(const rocksdb::Slice& slice) {
  return absl::string_view(slice.data(), slice.size());
}

absl::Status FromRocks(const rocksdb::Status& status, absl::string_view what) {
  if (status.ok()) return absl::OkStatus();
  const std::string message = absl::StrCat("store: cannot ", what, ": ", status.ToString());
  if (status.IsNoSpace()) return absl::ResourceExhaustedError(message);
  if (status.IsCorruption()) return absl::DataLossError(message);
  return absl::UnavailableError(message);
}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    return absl::FailedPreconditionError(absl::StrCat("store: cannot make the directory ",
                                                      directory, ": ", error.message(),
                                                      "; name another one with --store"));
  }
  std::unique_ptr<Database> database(new Database(directory));
  if (absl::Status status = database->OpenRocks(); !status.ok()) return status;
  if (absl::Status status = database->CheckFormatVersion(); !status.ok()) return status;
  return database;
}

absl::Status Database::OpenRocks() {
  rocksdb::DB* db = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  const rocksdb::Status status =
      rocksdb::DB::Open(DatabaseOptions(), directory_, FamilyDescriptors(), &handles, &db);
  if (absl::Status lock = LockError(status, directory_); !lock.ok()) return lock;
  if (!status.ok()) return FromRocks(status, absl::StrCat("open ", directory_));
  db_.reset(db);
  for (size_t i = 0; i < kFamilyCount; ++i) families_[i] = handles[i];
  return absl::OkStatus();
}

absl::Status Database::CheckFormatVersion() {
  absl::StatusOr<std::optional<std::string>> version = Get(Family::kDefault, kFormatVersionKey);
  if (!version.ok()) return version.status();
  if (!version->has_value()) {
    std::string value;
    AppendU32(value, kStoreFormatVersion);
    rocksdb::WriteBatch batch;
    batch.Put(family(Family::kDefault), kFormatVersionKey, value);
    return WriteSynced(batch);
  }
  const uint32_t found = (*version)->size() == 4 ? ReadU32((*version)->data()) : 0;
  if (found == kStoreFormatVersion) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("store ", directory_, " has format version ", found, "; this program reads ",
                   kStoreFormatVersion, ": use the program that wrote it, or another --store"));
}

Database::~Database() {
  if (db_ == nullptr) return;
  for (rocksdb::ColumnFamilyHandle* handle : families_) db_->DestroyColumnFamilyHandle(handle);
  db_->Close();
}

absl::StatusOr<std::optional<std::string>> Database::Get(Family family_id,
                                                         absl::string_view key) const {
  std::string value;
  const rocksdb::Status status =
      db_->Get(rocksdb::ReadOptions(), family(family_id), ToSlice(key), &value);
  if (status.IsNotFound()) return std::optional<std::string>();
  if (!status.ok()) return FromRocks(status, absl::StrCat("read from ", FamilyName(family_id)));
  return std::optional<std::string>(std::move(value));
}

absl::Status Database::Scan(Family family_id, absl::string_view begin, absl::string_view end,
                            const Visitor& visit) const {
  rocksdb::ReadOptions options;
  const rocksdb::Slice upper = ToSlice(end);
  options.iterate_upper_bound = &upper;
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options, family(family_id)));
  for (it->Seek(ToSlice(begin)); it->Valid(); it->Next()) {
    if (!visit(ToView(it->key()), ToView(it->value()))) break;
  }
  return FromRocks(it->status(), absl::StrCat("scan ", FamilyName(family_id)));
}

absl::Status Database::ScanBackwards(Family family_id, absl::string_view begin,
                                     absl::string_view end, const Visitor& visit) const {
  rocksdb::ReadOptions options;
  const rocksdb::Slice lower = ToSlice(begin);
  const rocksdb::Slice upper = ToSlice(end);
  options.iterate_lower_bound = &lower;
  options.iterate_upper_bound = &upper;
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options, family(family_id)));
  for (it->SeekToLast(); it->Valid(); it->Prev()) {
    if (!visit(ToView(it->key()), ToView(it->value()))) break;
  }
  return FromRocks(it->status(), absl::StrCat("scan ", FamilyName(family_id)));
}

absl::Status Database::WriteSynced(rocksdb::WriteBatch& batch) {
  if (write_failed_) {
    const rocksdb::Status resumed = db_->Resume();
    if (!resumed.ok()) return FromRocks(resumed, "go on after a failed write");
    write_failed_ = false;
  }
  rocksdb::WriteOptions options;
  options.sync = true;
  const rocksdb::Status status = db_->Write(options, &batch);
  write_failed_ = !status.ok();
  return FromRocks(status, "write");
}

}  // namespace flightrec::backend
