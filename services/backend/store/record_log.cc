#include "services/backend/store/record_log.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/chunk/crc32c.h"

namespace flightrec::backend {
namespace {

// RocksDB's log format: blocks; in each, fragments with a header of checksum:u32 length:u16
// type:u8.
constexpr size_t kBlockBytes = 32768;
constexpr size_t kHeaderBytes = 7;
constexpr size_t kTypeOffset = 6;
constexpr uint32_t kCrcMask = 0xa282ead8;

enum FragmentType : uint8_t { kZero = 0, kFull = 1, kFirst = 2, kMiddle = 3, kLast = 4 };

uint32_t Crc(absl::string_view block, size_t at) {
  uint32_t masked;
  std::memcpy(&masked, block.data() + at, sizeof(masked));
  const uint32_t rotated = masked - kCrcMask;
  return (rotated >> 17) | (rotated << 15);
}

size_t Length(absl::string_view block, size_t at) {
  uint16_t length;
  std::memcpy(&length, block.data() + at + 4, sizeof(length));
  return length;
}

uint8_t Type(absl::string_view block, size_t at) {
  return static_cast<uint8_t>(block[at + kTypeOffset]);
}

bool HasChecksum(absl::string_view block, size_t at, size_t length) {
  return Crc(block, at) == chunk::Crc32c(block.substr(at + kTypeOffset, 1 + length));
}

// A whole fragment is at `at`.
bool IsFragment(absl::string_view block, size_t at) {
  if (at + kHeaderBytes > block.size()) return false;
  if (Type(block, at) < kFull || Type(block, at) > kLast) return false;
  const size_t length = Length(block, at);
  return at + kHeaderBytes + length <= block.size() && HasChecksum(block, at, length);
}

bool IsZero(absl::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == 0; });
}

constexpr char kCut[] = "ends within a record";
constexpr char kBadLength[] = "bad record length";

// Why no fragment can be read at `at`.
std::string Problem(absl::string_view block, size_t at) {
  if (at + kHeaderBytes > block.size()) return kCut;
  if (Type(block, at) < kFull || Type(block, at) > kLast) {
    return absl::StrCat("unknown record type ", Type(block, at));
  }
  if (at + kHeaderBytes + Length(block, at) <= block.size()) return "checksum mismatch";
  // Only its length is wrong when what is there has the checksum: nothing was cut.
  return HasChecksum(block, at, block.size() - at - kHeaderBytes) ? kBadLength : kCut;
}

// A record begins anywhere from `from`, whole as far as this block has it.
bool HasRecordFrom(absl::string_view block, size_t from) {
  for (size_t at = from; at + kHeaderBytes <= block.size(); ++at) {
    const uint8_t type = Type(block, at);
    if ((type == kFull || type == kFirst) && IsFragment(block, at)) return true;
  }
  return false;
}

class Scan {
 public:
  explicit Scan(const std::string& file) : file_(file), stream_(file, std::ios::binary) {}

  absl::StatusOr<std::optional<LogDamage>> Run() {
    std::string block;
    while (ReadBlock(block)) {
      if (damage_.has_value()) {
        if (HasRecordFrom(block, 0)) return Found(false);
      } else if (ScanBlock(block); damage_.has_value()) {
        if (HasRecordFrom(block, damage_->offset - block_offset_ + 1)) return Found(false);
      }
      block_offset_ += block.size();
    }
    if (stream_.bad() || (!stream_.eof() && errno != ENOENT)) {
      return absl::UnavailableError(
          absl::StrCat("store: cannot read ", file_, ": ", std::strerror(errno)));
    }
    if (!damage_.has_value() && within_record_) Damaged(record_offset_, kCut);
    if (damage_.has_value()) return Found(damage_->problem != kBadLength);
    return std::optional<LogDamage>();
  }

 private:
  bool ReadBlock(std::string& block) {
    block.resize(kBlockBytes);
    stream_.read(block.data(), kBlockBytes);
    block.resize(static_cast<size_t>(std::max<std::streamsize>(stream_.gcount(), 0)));
    return !block.empty();
  }

  void Damaged(uint64_t offset, std::string problem) {
    damage_ = LogDamage{file_, offset, std::move(problem)};
  }

  absl::StatusOr<std::optional<LogDamage>> Found(bool may_be_interrupted_write) {
    damage_->may_be_interrupted_write = may_be_interrupted_write;
    return std::move(damage_);
  }

  void ScanBlock(absl::string_view block) {
    size_t at = 0;
    while (at < block.size()) {
      // The rest of a block is zero when it is too short for a header, or was reserved only.
      if (IsZero(block.substr(at, kHeaderBytes))) {
        if (!IsZero(block.substr(at))) Damaged(block_offset_ + at, "zeros instead of a record");
        return;
      }
      if (!IsFragment(block, at)) return Damaged(block_offset_ + at, Problem(block, at));
      const uint8_t type = Type(block, at);
      const bool begins = type == kFull || type == kFirst;
      if (begins == within_record_) {
        return Damaged(block_offset_ + at, "a part of a record is missing before this");
      }
      if (begins) record_offset_ = block_offset_ + at;
      within_record_ = type == kFirst || type == kMiddle;
      at += kHeaderBytes + Length(block, at);
    }
  }

  const std::string file_;
  std::ifstream stream_;
  uint64_t block_offset_ = 0;
  uint64_t record_offset_ = 0;
  bool within_record_ = false;
  std::optional<LogDamage> damage_;
};

absl::StatusOr<std::string> CurrentManifest(const std::string& directory) {
  std::ifstream stream(absl::StrCat(directory, "/CURRENT"));
  std::string name;
  std::getline(stream, name);
  return name;
}

}  // namespace

std::string Describe(const LogDamage& damage) {
  return absl::StrCat(damage.file, " is damaged at offset ", damage.offset, ": ", damage.problem);
}

absl::StatusOr<std::optional<LogDamage>> FindLogDamage(const std::string& file) {
  return Scan(file).Run();
}

absl::StatusOr<std::vector<LogDamage>> FindDamagedLogs(const std::string& directory) {
  std::vector<std::string> logs;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    if (absl::EndsWith(entry.path().string(), ".log")) logs.push_back(entry.path().string());
  }
  // Numbers of equal width: the last is the newest.
  std::sort(logs.begin(), logs.end());
  std::vector<LogDamage> damages;
  for (const std::string& log : logs) {
    absl::StatusOr<std::optional<LogDamage>> damage = FindLogDamage(log);
    if (!damage.ok()) return damage.status();
    if (!damage->has_value()) continue;
    (*damage)->newest = log == logs.back();
    damages.push_back(**std::move(damage));
  }
  absl::StatusOr<std::string> manifest = CurrentManifest(directory);
  if (!manifest.ok()) return manifest.status();
  if (manifest->empty()) return damages;
  absl::StatusOr<std::optional<LogDamage>> damage =
      FindLogDamage(absl::StrCat(directory, "/", *manifest));
  if (!damage.ok()) return damage.status();
  if (damage->has_value()) {
    // Cut, it is what a power cut leaves, and RocksDB goes on. Anything else it does not read.
    if ((*damage)->problem != kCut) (*damage)->may_be_interrupted_write = false;
    if (!(*damage)->may_be_interrupted_write) damages.push_back(**std::move(damage));
  }
  return damages;
}

}  // namespace flightrec::backend
