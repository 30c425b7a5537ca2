#include "services/backend/store/database.h"

#include <fcntl.h>
#include <rocksdb/cache.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>
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
#include "services/backend/store/record_log.h"
#include "services/backend/store/table_files.h"

namespace flightrec::backend {
namespace {

constexpr size_t kBlockCacheBytes = size_t{64} << 20;
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
constexpr double kBloomBitsPerKey = 10;
// RocksDB 7.8 takes an error at the beginning of a table for the end of its level, unless that
// table is the level's first: keys are missing without an error, and compaction drops them. So a
// level is one table: no limit on its size, and universal compaction, which does not move tables
// without merging them. Chunks are in blob files, which keeps tables small.
constexpr uint64_t kTableBytes = uint64_t{64} << 30;

// One is filled while the others are written out: with two a slow disk stops writes at once.
constexpr int kChunkMemtables = 4;

// A file in the store's directory: whether it can be written at all.
constexpr char kProbeFile[] = "writable.probe";
constexpr size_t kProbeBytes = 4096;
// Besides what the logs hold.
constexpr uint64_t kRoomToOpen = uint64_t{1} << 20;

rocksdb::DBOptions RocksOptions(const DatabaseOptions& ours) {
  rocksdb::DBOptions options;
  options.env = ours.env;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.db_write_buffer_size = ours.memtable_bytes;
  options.max_total_wal_size = kMaxWalBytes;
  options.max_open_files = kMaxOpenFiles;
  options.max_background_jobs = kBackgroundJobs;
  options.info_log_level = rocksdb::WARN_LEVEL;
  options.keep_log_file_num = kKeptInfoLogs;
  options.max_log_file_size = kInfoLogBytes;
  options.bytes_per_sync = kBytesPerSync;
  // A log that is missing or shorter than it was is an error, not an empty log.
  options.track_and_verify_wals_in_manifest = true;
  return options;
}

std::vector<rocksdb::ColumnFamilyDescriptor> FamilyDescriptors(const DatabaseOptions& ours) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(kBlockCacheBytes);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kBloomBitsPerKey));
  rocksdb::ColumnFamilyOptions plain;
  plain.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  plain.compression = rocksdb::kLZ4Compression;
  plain.compaction_style = rocksdb::kCompactionStyleUniversal;
  plain.target_file_size_base = kTableBytes;

  rocksdb::ColumnFamilyOptions chunks = plain;
  // Chunks are compressed by who makes them.
  chunks.compression = rocksdb::kNoCompression;
  chunks.write_buffer_size = ours.chunk_memtable_bytes;
  chunks.max_write_buffer_number = kChunkMemtables;
  chunks.enable_blob_files = true;
  chunks.min_blob_size = kMinBlobBytes;
  chunks.blob_file_size = ours.blob_file_bytes;
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
  // RocksDB has no subcodes for these.
  for (int error : {EROFS, EDQUOT}) {
    if (absl::StrContains(message, std::strerror(error))) {
      return absl::ResourceExhaustedError(message);
    }
  }
  if (status.IsCorruption()) return absl::DataLossError(message);
  return absl::UnavailableError(message);
}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& directory,
                                                         const DatabaseOptions& options) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    return absl::FailedPreconditionError(absl::StrCat("store: cannot make the directory ",
                                                      directory, ": ", error.message(),
                                                      "; name another one with --store"));
  }
  std::unique_ptr<Database> database(new Database(directory, options));
  {
    absl::MutexLock lock(&database->mutex_);
    if (absl::Status status = database->OpenRocks(); !status.ok()) return status;
  }
  if (absl::Status status = database->CheckFormatVersion(); !status.ok()) return status;
  return database;
}

absl::Status Database::CheckLogs(std::string& damage_found) {
  absl::StatusOr<std::vector<LogDamage>> damages = FindDamagedLogs(directory_);
  if (!damages.ok()) return damages.status();
  for (const LogDamage& damage : *damages) {
    if (!damage.may_be_interrupted_write) {
      return absl::DataLossError(
          absl::StrCat("store: ", Describe(damage),
                       ": opening it would lose what was acknowledged; restore a backup (flightrec "
                       "restore) or look what is left (flightrec fsck)"));
    }
    if (damage.newest) interrupted_write_ = Describe(damage);
    absl::StrAppend(&damage_found, "; ", Describe(damage));
  }
  return absl::OkStatus();
}

absl::Status Database::OpenRocks() {
  rocksdb::DBOptions options = RocksOptions(options_);
  std::string damage_found;
  if (absl::Status status = CheckLogs(damage_found); !status.ok()) return status;
  options.wal_recovery_mode = interrupted_write_.empty()
                                  ? rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords
                                  : rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  rocksdb::DB* db = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  const rocksdb::Status status =
      rocksdb::DB::Open(options, directory_, FamilyDescriptors(options_), &handles, &db);
  if (absl::Status lock = LockError(status, directory_); !lock.ok()) return lock;
  if (absl::StrContains(status.ToString(), "Column families not opened")) {
    return absl::FailedPreconditionError(
        absl::StrCat("store ", directory_, " was written by a later program (", status.ToString(),
                     "); this one reads format version ", kStoreFormatVersion,
                     ": use that program, or another --store"));
  }
  if (absl::Status opened = FromRocks(status, absl::StrCat("open ", directory_)); !opened.ok()) {
    if (absl::IsDataLoss(opened)) {
      for (const std::string& table : FindDamagedTables(directory_)) {
        absl::StrAppend(&damage_found, "; ", table);
      }
    }
    return absl::Status(opened.code(), absl::StrCat(opened.message(), damage_found));
  }
  db_.reset(db);
  for (size_t i = 0; i < kFamilyCount; ++i) families_[i] = handles[i];
  return absl::OkStatus();
}

void Database::CloseRocks() {
  if (db_ == nullptr) return;
  for (rocksdb::ColumnFamilyHandle* handle : families_) db_->DestroyColumnFamilyHandle(handle);
  families_ = {};
  db_->Close();
  db_.reset();
}

absl::Status Database::CheckOpen() const {
  if (db_ != nullptr) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("store ", directory_, " is closed after a failed write: try again"));
}

absl::Status Database::CheckFormatVersion() {
  absl::StatusOr<std::optional<std::string>> version = Get(Family::kDefault, kFormatVersionKey);
  if (!version.ok()) return version.status();
  opened_format_version_ = kStoreFormatVersion;
  if (version->has_value()) {
    opened_format_version_ = (*version)->size() == 4 ? ReadU32((*version)->data()) : 0;
    if (opened_format_version_ == kStoreFormatVersion) return absl::OkStatus();
  }
  if (opened_format_version_ == 0 || opened_format_version_ > kStoreFormatVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("store ", directory_, " has format version ", opened_format_version_,
                     "; this program reads up to ", kStoreFormatVersion,
                     ": use the program that wrote it, or another --store"));
  }
  // New families were made when RocksDB was opened: no version needs more than its number yet.
  rocksdb::WriteBatch batch;
  std::string value;
  AppendU32(value, kStoreFormatVersion);
  batch.Put(family(Family::kDefault), kFormatVersionKey, value);
  return WriteSynced(batch);
}

Database::~Database() {
  absl::MutexLock lock(&mutex_);
  CloseRocks();
}

absl::StatusOr<std::optional<std::string>> Database::Get(Family family_id,
                                                         absl::string_view key) const {
  std::string value;
  absl::ReaderMutexLock lock(&mutex_);
  if (absl::Status open = CheckOpen(); !open.ok()) return open;
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
  absl::ReaderMutexLock lock(&mutex_);
  if (absl::Status open = CheckOpen(); !open.ok()) return open;
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
  absl::ReaderMutexLock lock(&mutex_);
  if (absl::Status open = CheckOpen(); !open.ok()) return open;
  const std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options, family(family_id)));
  for (it->SeekToLast(); it->Valid(); it->Prev()) {
    if (!visit(ToView(it->key()), ToView(it->value()))) break;
  }
  return FromRocks(it->status(), absl::StrCat("scan ", FamilyName(family_id)));
}

absl::Status Database::Put(Family family_id, absl::string_view key, absl::string_view value) {
  absl::ReaderMutexLock lock(&mutex_);
  if (absl::Status open = CheckOpen(); !open.ok()) return open;
  return FromRocks(db_->Put(rocksdb::WriteOptions(), families_[static_cast<size_t>(family_id)],
                            ToSlice(key), ToSlice(value)),
                   absl::StrCat("write to ", FamilyName(family_id)));
}

absl::Status Database::DeleteRange(Family family_id, absl::string_view begin,
                                   absl::string_view end) {
  absl::ReaderMutexLock lock(&mutex_);
  if (absl::Status open = CheckOpen(); !open.ok()) return open;
  return FromRocks(
      db_->DeleteRange(rocksdb::WriteOptions(), families_[static_cast<size_t>(family_id)],
                       ToSlice(begin), ToSlice(end)),
      absl::StrCat("delete from ", FamilyName(family_id)));
}

absl::Status Database::WriteSynced(rocksdb::WriteBatch& batch) {
  rocksdb::WriteOptions options;
  options.sync = true;
  absl::ReaderMutexLock lock(&mutex_);
  if (absl::Status open = CheckOpen(); !open.ok()) return open;
  const rocksdb::Status status = db_->Write(options, &batch);
  write_failed_ = !status.ok();
  return FromRocks(status, "write");
}

absl::Status Database::Recover() {
  rocksdb::Status resumed = rocksdb::Status::Aborted("closed");
  {
    // Not from the log that the failed write may have left half a record in: Resume begins another.
    absl::ReaderMutexLock lock(&mutex_);
    if (db_ != nullptr) resumed = db_->Resume();
  }
  if (resumed.ok()) {
    write_failed_ = false;
    return absl::OkStatus();
  }
  // After some errors, full disks among them, RocksDB has to be opened again. While that cannot
  // work it stays as it is, so that it can be read.
  if (absl::Status ready = CheckRoomToOpen(); !ready.ok()) return ready;
  // Compactions that Reclaim waits for have ended with the failed write.
  absl::MutexLock lock(&mutex_);
  CloseRocks();
  absl::Status opened = OpenRocks();
  write_failed_ = !opened.ok();
  return opened;
}

absl::Status Database::CheckRoomToOpen() {
  // What the logs hold is written to tables when they are replayed.
  uint64_t needed = kRoomToOpen;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, error)) {
    if (absl::EndsWith(entry.path().string(), ".log")) needed += entry.file_size(error);
  }
  uint64_t free = 0;
  rocksdb::Status status = options_.env->GetFreeSpace(directory_, &free);
  if (status.ok() && free < needed) {
    return absl::ResourceExhaustedError(absl::StrCat("store: ", directory_, " has ", free,
                                                     " bytes free, ", needed,
                                                     " are needed to go on after a failed write"));
  }
  const std::string probe = absl::StrCat(directory_, "/", kProbeFile);
  status = rocksdb::WriteStringToFile(options_.env, std::string(kProbeBytes, '\0'), probe, true);
  options_.env->DeleteFile(probe).PermitUncheckedError();
  return FromRocks(status, "write again");
}

absl::Status Database::Reclaim(Family family_id) {
  absl::ReaderMutexLock lock(&mutex_);
  if (absl::Status open = CheckOpen(); !open.ok()) return open;
  rocksdb::CompactRangeOptions options;
  // The compaction waits rather than writes, and shares the background threads.
  options.exclusive_manual_compaction = false;
  options.allow_write_stall = false;
  const rocksdb::Status status =
      db_->CompactRange(options, families_[static_cast<size_t>(family_id)], nullptr, nullptr);
  return FromRocks(status, absl::StrCat("compact ", FamilyName(family_id)));
}

absl::Status Database::MakeCheckpoint(const std::string& directory) {
  absl::ReaderMutexLock lock(&mutex_);
  if (absl::Status open = CheckOpen(); !open.ok()) return open;
  rocksdb::Checkpoint* made = nullptr;
  rocksdb::Status status = rocksdb::Checkpoint::Create(db_.get(), &made);
  const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
  if (status.ok()) status = checkpoint->CreateCheckpoint(directory);
  return FromRocks(status, absl::StrCat("make a checkpoint in ", directory));
}

}  // namespace flightrec::backend
