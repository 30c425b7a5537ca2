#include "services/backend/store/table_files.h"

#include <rocksdb/options.h>
#include <rocksdb/sst_file_reader.h>

#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace flightrec::backend {

std::vector<std::string> FindDamagedTables(const std::string& directory) {
  std::vector<std::string> damaged;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const std::string path = entry.path().string();
    if (!absl::EndsWith(path, ".sst")) continue;
    rocksdb::SstFileReader reader{rocksdb::Options()};
    rocksdb::Status status = reader.Open(path);
    if (status.ok()) status = reader.VerifyChecksum();
    if (status.ok()) continue;
    damaged.push_back(absl::StrCat(path, " is damaged: ", status.ToString()));
  }
  return damaged;
}

}  // namespace flightrec::backend
