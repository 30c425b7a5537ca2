// Files of a store are damaged: what is given out is what was written, and damage is named.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/backend/store/blocking_store.h"
#include "services/backend/store/test_workload.h"

namespace flightrec::backend {
namespace {

constexpr int kRounds = 12;
constexpr int kLongRounds = 300;
constexpr uint64_t kBatches = 155;

int Rounds() { return std::getenv("FLIGHTREC_LONG") != nullptr ? kLongRounds : kRounds; }

std::string Read(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << stream.rdbuf();
  return bytes.str();
}

void Write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

std::vector<std::string> FilesOf(const std::string& directory, const std::string& part) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    const std::string path = entry.path().string();
    if (absl::StrContains(path.substr(directory.size()), part) && entry.file_size() > 0) {
      files.push_back(path);
    }
  }
  std::sort(files.begin(), files.end());
  return files;
}

class Corruption : public ::testing::TestWithParam<const char*> {
 protected:
  static void SetUpTestSuite() {
    if (pristine_ != nullptr) return;
    pristine_ = new std::string(MakeStoreDirectory());
    BlockingStore store(*pristine_, SmallFiles());
    ASSERT_TRUE(store.OpenProducer().ok());
    ASSERT_EQ(CommitWorkload(store, 1, kBatches), kBatches);
  }

  // A copy with one file changed.
  std::string Damaged(const std::string& file, const std::string& bytes) {
    const std::string copy = MakeStoreDirectory();
    std::filesystem::copy(*pristine_, copy, std::filesystem::copy_options::recursive);
    Write(copy + file.substr(pristine_->size()), bytes);
    return copy;
  }

  // Never altered, and nothing is missing without being said; whether damage was reported.
  // What was written last may be gone with the end of its log, which is said unless the log ends
  // with a whole record: `cut`.
  bool Check(const std::string& directory, const std::string& file, bool cut) {
    bool reported = true;
    const std::string name = std::filesystem::path(file).filename().string();
    const auto store = BlockingStore::Open(directory, SmallFiles());
    if (!store.ok()) {
      EXPECT_EQ(store.status().code(), absl::StatusCode::kDataLoss) << store.status();
      // A log that the manifest knows otherwise is named by its number.
      EXPECT_TRUE(absl::StrContains(store.status().message(), name) ||
                  absl::StrContains(store.status().message(), "log number"))
          << store.status();
    } else {
      const std::string& interrupted = (*store)->store().database().interrupted_write();
      const bool may_lack = !interrupted.empty() || (cut && absl::EndsWith(name, ".log"));
      const WorkloadReading reading = ReadWorkload(**store, may_lack ? 0 : kBatches);
      EXPECT_EQ(reading.problem, "");
      reported = !reading.reported.empty() || !interrupted.empty();
      if (!interrupted.empty()) {
        EXPECT_TRUE(absl::StrContains(interrupted, name)) << interrupted;
        // Only the last write can be taken for one that was interrupted.
        if (!cut) {
          EXPECT_GE(reading.durable_sequence, kBatches - 1);
        }
      }
    }
    std::error_code ignored;
    std::filesystem::remove_all(directory, ignored);
    return reported;
  }

  static inline std::string* pristine_ = nullptr;
};

TEST_P(Corruption, a_bit_is_flipped__then_it_is_reported_and_nothing_altered_is_given_out) {
  std::mt19937 random(7);
  const std::vector<std::string> files = FilesOf(*pristine_, GetParam());
  ASSERT_FALSE(files.empty());
  int reported = 0;
  for (int round = 0; round < Rounds(); ++round) {
    const std::string& file = files[random() % files.size()];
    std::string bytes = Read(file);
    const size_t at = random() % bytes.size();
    bytes[at] ^= static_cast<char>(1 << (random() % 8));
    SCOPED_TRACE(absl::StrCat(file, " byte ", at, " of ", bytes.size()));
    reported += Check(Damaged(file, bytes), file, false) ? 1 : 0;
  }
  EXPECT_GT(reported, 0);
}

TEST_P(Corruption, file_is_cut__then_it_is_reported_and_nothing_altered_is_given_out) {
  std::mt19937 random(8);
  const std::vector<std::string> files = FilesOf(*pristine_, GetParam());
  for (int round = 0; round < Rounds(); ++round) {
    const std::string& file = files[random() % files.size()];
    const std::string bytes = Read(file);
    // A manifest without its first records is that of a new store, and taken for one.
    const size_t least = std::string(GetParam()) == "MANIFEST" ? bytes.size() / 4 : 0;
    const size_t kept = least + random() % (bytes.size() - least);
    SCOPED_TRACE(absl::StrCat(file, " cut to ", kept, " of ", bytes.size()));
    Check(Damaged(file, bytes.substr(0, kept)), file, true);
  }
}

std::string FileName(const ::testing::TestParamInfo<const char*>& info) {
  return absl::StrCat("file", info.index);
}

INSTANTIATE_TEST_SUITE_P(Files, Corruption, ::testing::Values(".sst", ".blob", ".log", "MANIFEST"),
                         FileName);

}  // namespace
}  // namespace flightrec::backend
