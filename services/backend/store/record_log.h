// Finds damage in the files of a store that are RocksDB logs: write-ahead logs and the manifest.
// RocksDB itself takes some of it for the end of the file and drops what follows.
//
// Thread-safe: functions that read files. Does not repair anything and does not know what records
// mean.
#ifndef SERVICES_BACKEND_STORE_RECORD_LOG_H_
#define SERVICES_BACKEND_STORE_RECORD_LOG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace flightrec::backend {

struct LogDamage {
  std::string file;
  // Of the first byte that is not part of a whole record.
  uint64_t offset = 0;
  std::string problem;
  // Nothing whole follows: a write that was under way when the power went away looks like this.
  // Nobody was told that it is durable.
  bool may_be_interrupted_write = false;
  // Of the write-ahead logs.
  bool newest = false;
};

// "FILE is damaged at offset N: PROBLEM"
std::string Describe(const LogDamage& damage);

// Nothing when every record is whole. A file that ends within a record is damaged, too.
absl::StatusOr<std::optional<LogDamage>> FindLogDamage(const std::string& file);

// Of the write-ahead logs and the manifest in a store's directory; empty for a new store. A log
// that is not the newest may end within a record when the store no longer needs it: RocksDB knows.
absl::StatusOr<std::vector<LogDamage>> FindDamagedLogs(const std::string& directory);

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_STORE_RECORD_LOG_H_
