#include "services/backend/store/faulty_file_system.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace flightrec::backend {
namespace {

using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

// Those that a store takes; "other" are options, identity and the directory.
constexpr const char* kSteps[] = {
    "wal.create",     "wal.append",     "wal.sync",        "wal.close",
    "wal.delete",     "table.create",   "table.append",    "table.sync",
    "table.close",    "table.delete",   "blob.create",     "blob.append",
    "blob.sync",      "blob.close",     "manifest.create", "manifest.append",
    "manifest.sync",  "manifest.close", "manifest.delete", "current.create",
    "current.append", "current.sync",   "current.close",   "current.rename",
    "other.create",   "other.append",   "other.rename",    "other.sync_directory"};

std::string FileOf(const std::string& path) {
  const std::string name = std::filesystem::path(path).filename().string();
  if (absl::EndsWith(name, ".log")) return "wal";
  if (absl::EndsWith(name, ".sst")) return "table";
  if (absl::EndsWith(name, ".blob")) return "blob";
  if (absl::StartsWith(name, "MANIFEST")) return "manifest";
  // RocksDB writes CURRENT under such a name first.
  if (name == "CURRENT" || absl::EndsWith(name, ".dbtmp")) return "current";
  return "other";
}

std::string Read(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << stream.rdbuf();
  return bytes.str();
}

void Write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

class File : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  File(std::unique_ptr<rocksdb::FSWritableFile> file, std::string path, FaultyFileSystem& system)
      : FSWritableFileOwnerWrapper(std::move(file)), path_(std::move(path)), system_(system) {}

  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  IODebugContext* debug) override {
    return system_.Step(path_, "append", [&] {
      IOStatus status = FSWritableFileOwnerWrapper::Append(data, options, debug);
      if (status.ok()) system_.Appended(path_, data.size());
      return status;
    });
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options,
                  const rocksdb::DataVerificationInfo& /*info*/, IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    // Nothing depends on the disk: what counts as synced is what we remember.
    return system_.Step(path_, "sync", [&] {
      IOStatus status = FSWritableFileOwnerWrapper::Flush(options, debug);
      if (status.ok()) system_.Synced(path_);
      return status;
    });
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return Sync(options, debug);
  }
  IOStatus Close(const IOOptions& options, IODebugContext* debug) override {
    return system_.Step(path_, "close",
                        [&] { return FSWritableFileOwnerWrapper::Close(options, debug); });
  }

 private:
  const std::string path_;
  FaultyFileSystem& system_;
};

class ReadFile : public rocksdb::FSRandomAccessFileOwnerWrapper {
 public:
  ReadFile(std::unique_ptr<rocksdb::FSRandomAccessFile> file, FaultyFileSystem& system)
      : FSRandomAccessFileOwnerWrapper(std::move(file)), system_(system) {}

  IOStatus Read(uint64_t offset, size_t bytes, const IOOptions& options, rocksdb::Slice* result,
                char* scratch, IODebugContext* debug) const override {
    IOStatus status = system_.ResultOfRead();
    return status.ok() ? target()->Read(offset, bytes, options, result, scratch, debug) : status;
  }

 private:
  FaultyFileSystem& system_;
};

class Directory : public rocksdb::FSDirectoryWrapper {
 public:
  Directory(std::unique_ptr<rocksdb::FSDirectory> directory, FaultyFileSystem& system)
      : FSDirectoryWrapper(std::move(directory)), system_(system) {}

  IOStatus Fsync(const IOOptions& /*options*/, IODebugContext* /*debug*/) override {
    return system_.Step("directory", "sync_directory", [&] {
      system_.DirectorySynced();
      return IOStatus::OK();
    });
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* debug,
                               const rocksdb::DirFsyncOptions& /*what*/) override {
    return Fsync(options, debug);
  }

 private:
  FaultyFileSystem& system_;
};

}  // namespace

std::vector<std::string> FileSteps() {
  std::vector<std::string> steps;
  for (const char* step : kSteps) {
    for (const char* when : {"before", "after"}) steps.push_back(absl::StrCat(step, ".", when));
  }
  return steps;
}

FaultyFileSystem::FaultyFileSystem(Hook hook)
    : FileSystemWrapper(rocksdb::FileSystem::Default()), hook_(std::move(hook)) {}

void FaultyFileSystem::CutPower() {
  absl::MutexLock lock(&mutex_);
  power_is_cut_ = true;
}

void FaultyFileSystem::IgnoreSyncs() {
  absl::MutexLock lock(&mutex_);
  ignore_syncs_ = true;
}

bool FaultyFileSystem::power_is_cut() const {
  absl::MutexLock lock(&mutex_);
  return power_is_cut_;
}

void FaultyFileSystem::RestorePower() {
  absl::MutexLock lock(&mutex_);
  power_is_cut_ = false;
}

void FaultyFileSystem::FailReads(IOStatus result) {
  absl::MutexLock lock(&mutex_);
  result_of_reads_ = std::move(result);
  read_failed_ = false;
}

void FaultyFileSystem::AwaitFailedRead() {
  absl::MutexLock lock(&mutex_, absl::Condition(&read_failed_));
}

IOStatus FaultyFileSystem::ResultOfRead() {
  absl::MutexLock lock(&mutex_);
  read_failed_ = read_failed_ || !result_of_reads_.ok();
  return result_of_reads_;
}

IOStatus FaultyFileSystem::Step(const std::string& path, absl::string_view operation,
                                const std::function<IOStatus()>& run) {
  const std::string step = absl::StrCat(FileOf(path), ".", operation);
  IOStatus status = hook_(absl::StrCat(step, ".before"));
  {
    absl::MutexLock lock(&mutex_);
    // Closing costs no write.
    if (power_is_cut_ && operation != "close") return IOStatus::IOError("the power is cut");
    ++operations_;
  }
  if (status.ok()) status = run();
  {
    absl::MutexLock lock(&mutex_);
    --operations_;
  }
  hook_(absl::StrCat(step, ".after")).PermitUncheckedError();
  return status;
}

void FaultyFileSystem::Appended(const std::string& path, uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  files_[path].bytes += bytes;
}

void FaultyFileSystem::Synced(const std::string& path) {
  absl::MutexLock lock(&mutex_);
  if (ignore_syncs_) return;
  Growth& file = files_[path];
  file.synced_bytes = file.bytes;
}

void FaultyFileSystem::DirectorySynced() {
  absl::MutexLock lock(&mutex_);
  if (ignore_syncs_) return;
  for (auto& [path, file] : files_) file.named = true;
  renames_.clear();
  deleted_.clear();
}

void FaultyFileSystem::LoseUnsynced(Tail tail, std::mt19937& random) {
  absl::MutexLock lock(&mutex_, absl::Condition(this, &FaultyFileSystem::Idle));
  for (const auto& [path, bytes] : deleted_) Write(path, bytes);
  for (auto rename = renames_.rbegin(); rename != renames_.rend(); ++rename) {
    std::filesystem::rename(rename->to, rename->from);
    if (!rename->bytes_before.empty()) Write(rename->to, rename->bytes_before);
    if (auto moved = files_.extract(rename->to); !moved.empty()) {
      moved.key() = rename->from;
      files_.insert(std::move(moved));
    }
  }
  for (const auto& [path, file] : files_) {
    if (!std::filesystem::exists(path)) continue;
    if (!file.named) {
      std::filesystem::remove(path);
      continue;
    }
    const uint64_t unsynced = file.bytes - file.synced_bytes;
    if (unsynced == 0) continue;
    const uint64_t kept = tail == Tail::kLost ? 0 : random() % (unsynced + 1);
    std::string bytes = Read(path).substr(0, file.synced_bytes + kept);
    if (tail == Tail::kTorn && kept > 0 && FileOf(path) == "wal") {
      bytes[file.synced_bytes + random() % kept] ^= static_cast<char>(1 + random() % 255);
    }
    Write(path, bytes);
  }
  files_.clear();
  renames_.clear();
  deleted_.clear();
}

IOStatus FaultyFileSystem::NewWritableFile(const std::string& path,
                                           const rocksdb::FileOptions& options,
                                           std::unique_ptr<rocksdb::FSWritableFile>* file,
                                           IODebugContext* debug) {
  return Step(path, "create", [&] {
    std::unique_ptr<rocksdb::FSWritableFile> made;
    IOStatus status = target()->NewWritableFile(path, options, &made, debug);
    if (!status.ok()) return status;
    {
      absl::MutexLock lock(&mutex_);
      files_[path] = Growth();
    }
    *file = std::make_unique<File>(std::move(made), path, *this);
    return status;
  });
}

IOStatus FaultyFileSystem::ReopenWritableFile(const std::string& path,
                                              const rocksdb::FileOptions& options,
                                              std::unique_ptr<rocksdb::FSWritableFile>* file,
                                              IODebugContext* debug) {
  return Step(path, "create", [&] {
    std::unique_ptr<rocksdb::FSWritableFile> made;
    IOStatus status = target()->ReopenWritableFile(path, options, &made, debug);
    if (status.ok()) *file = std::make_unique<File>(std::move(made), path, *this);
    return status;
  });
}

IOStatus FaultyFileSystem::NewRandomAccessFile(const std::string& path,
                                               const rocksdb::FileOptions& options,
                                               std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                               IODebugContext* debug) {
  std::unique_ptr<rocksdb::FSRandomAccessFile> made;
  IOStatus status = target()->NewRandomAccessFile(path, options, &made, debug);
  if (status.ok()) *file = std::make_unique<ReadFile>(std::move(made), *this);
  return status;
}

IOStatus FaultyFileSystem::NewDirectory(const std::string& path, const IOOptions& options,
                                        std::unique_ptr<rocksdb::FSDirectory>* directory,
                                        IODebugContext* debug) {
  std::unique_ptr<rocksdb::FSDirectory> made;
  IOStatus status = target()->NewDirectory(path, options, &made, debug);
  if (status.ok()) *directory = std::make_unique<Directory>(std::move(made), *this);
  return status;
}

IOStatus FaultyFileSystem::RenameFile(const std::string& from, const std::string& to,
                                      const IOOptions& options, IODebugContext* debug) {
  return Step(to, "rename", [&] {
    absl::MutexLock lock(&mutex_);
    Rename rename{from, to, std::filesystem::exists(to) ? Read(to) : std::string()};
    IOStatus status = target()->RenameFile(from, to, options, debug);
    if (!status.ok()) return status;
    renames_.push_back(std::move(rename));
    if (auto moved = files_.extract(from); !moved.empty()) {
      files_.erase(to);
      moved.key() = to;
      files_.insert(std::move(moved));
    }
    return status;
  });
}

IOStatus FaultyFileSystem::DeleteFile(const std::string& path, const IOOptions& options,
                                      IODebugContext* debug) {
  return Step(path, "delete", [&] {
    absl::MutexLock lock(&mutex_);
    std::string bytes = Read(path);
    IOStatus status = target()->DeleteFile(path, options, debug);
    if (!status.ok()) return status;
    const auto file = files_.find(path);
    if (file == files_.end() || file->second.named) deleted_.emplace_back(path, std::move(bytes));
    files_.erase(path);
    return status;
  });
}

}  // namespace flightrec::backend
