// The machine's file system with faults: it tells every step that RocksDB takes, so that a test can
// kill the process there, make the step fail or cut the power; and it remembers what was not
// synced, so that a power cut takes it away.
//
// Thread-safe. Files that others write are not seen. Reads fail only after FailReads.
#ifndef SERVICES_BACKEND_STORE_FAULTY_FILE_SYSTEM_H_
#define SERVICES_BACKEND_STORE_FAULTY_FILE_SYSTEM_H_

#include <rocksdb/file_system.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace flightrec::backend {

// A step is FILE.OPERATION.WHEN: FILE is wal, table, blob, manifest, current or other; OPERATION is
// create, append, sync, close, rename, delete or sync_directory; WHEN is before or after.
// For example "wal.sync.after": a batch is durable and nobody has been told.
std::vector<std::string> FileSteps();

class FaultyFileSystem : public rocksdb::FileSystemWrapper {
 public:
  // Called for each step, before it with what fails it; the result of later ones is ignored.
  using Hook = std::function<rocksdb::IOStatus(absl::string_view step)>;

  explicit FaultyFileSystem(Hook hook);
  const char* Name() const override { return "FaultyFileSystem"; }

  // From now on every write fails, and nothing that was not synced counts.
  void CutPower();
  bool power_is_cut() const;
  // From now on what is synced counts as little as what is not: a disk that lies.
  void IgnoreSyncs();
  // When the store is closed, or its power cut and its process about to end: takes away what was
  // not synced, after writes under way. Of the end of a file that was being
  // appended to, some may have arrived: a part (kept), or with other bytes (torn), as `random`
  // says.
  enum class Tail { kLost, kKept, kTorn };
  void LoseUnsynced(Tail tail, std::mt19937& random);
  // Writes work again.
  void RestorePower();
  // What reading a table or a blob gives from now on; OK: what the file has.
  void FailReads(rocksdb::IOStatus result);
  // Until a read has failed.
  void AwaitFailedRead();

  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* file,
                                       rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewRandomAccessFile(const std::string& path,
                                        const rocksdb::FileOptions& options,
                                        std::unique_ptr<rocksdb::FSRandomAccessFile>* file,
                                        rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewDirectory(const std::string& path, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* directory,
                                 rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;

  // For the files themselves: runs `operation` between its two steps.
  rocksdb::IOStatus Step(const std::string& path, absl::string_view operation,
                         const std::function<rocksdb::IOStatus()>& run);
  void Appended(const std::string& path, uint64_t bytes);
  void Synced(const std::string& path);
  void DirectorySynced();
  rocksdb::IOStatus ResultOfRead();

 private:
  struct Growth {
    uint64_t bytes = 0;
    uint64_t synced_bytes = 0;
    // Its name is on disk.
    bool named = false;
  };
  // `to` had other bytes before, or was not there.
  struct Rename {
    std::string from;
    std::string to;
    std::string bytes_before;
  };

  const Hook hook_;
  bool Idle() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return operations_ == 0; }

  mutable absl::Mutex mutex_;
  bool power_is_cut_ ABSL_GUARDED_BY(mutex_) = false;
  bool ignore_syncs_ ABSL_GUARDED_BY(mutex_) = false;
  rocksdb::IOStatus result_of_reads_ ABSL_GUARDED_BY(mutex_);
  bool read_failed_ ABSL_GUARDED_BY(mutex_) = false;
  // Under way, between their steps.
  int operations_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, Growth> files_ ABSL_GUARDED_BY(mutex_);
  std::vector<Rename> renames_ ABSL_GUARDED_BY(mutex_);
  // Path and bytes of what was deleted since the directory was synced.
  std::vector<std::pair<std::string, std::string>> deleted_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_STORE_FAULTY_FILE_SYSTEM_H_
