#include "services/backend/store/index_entry.h"

#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/chunk/format.h"
#include "common/clock/calibration.h"
#include "services/backend/store/keys.h"

namespace flightrec::backend {
namespace {

uint32_t ChecksumOf(absl::string_view data) {
  uint32_t value = 0;
  for (int i = 3; i >= 0; --i) {
    value = value << 8 | static_cast<uint8_t>(data[chunk::kOffsetChecksum + i]);
  }
  return value;
}

}  // namespace

IndexEntry MakeIndexEntry(const chunk::ChunkHeader& header, absl::string_view data) {
  IndexEntry entry;
  if (header.call_count == 0 || header.is_final) {
    entry.start_ns = std::numeric_limits<int64_t>::min();
    entry.end_ns = std::numeric_limits<int64_t>::max();
  } else {
    entry.start_ns = clock::ToEpochNs(header.calibration, header.min_start_ticks);
    entry.end_ns = clock::ToEpochNs(header.calibration, header.max_end_ticks);
  }
  entry.call_count = header.call_count;
  entry.bytes = static_cast<uint32_t>(data.size());
  entry.checksum = ChecksumOf(data);
  return entry;
}

std::string EncodeIndexEntry(const IndexEntry& entry) {
  std::string bytes;
  bytes.reserve(kIndexEntryBytes);
  AppendU64(bytes, entry.position);
  AppendU64(bytes, static_cast<uint64_t>(entry.start_ns));
  AppendU64(bytes, static_cast<uint64_t>(entry.end_ns));
  AppendU32(bytes, entry.call_count);
  AppendU32(bytes, entry.bytes);
  AppendU32(bytes, entry.checksum);
  return bytes;
}

absl::StatusOr<IndexEntry> DecodeIndexEntry(absl::string_view bytes) {
  if (bytes.size() != kIndexEntryBytes) {
    return absl::DataLossError(
        absl::StrCat("chunk index entry has ", bytes.size(), " bytes, not ", kIndexEntryBytes));
  }
  IndexEntry entry;
  entry.position = ReadU64(bytes.data());
  entry.start_ns = static_cast<int64_t>(ReadU64(bytes.data() + 8));
  entry.end_ns = static_cast<int64_t>(ReadU64(bytes.data() + 16));
  entry.call_count = ReadU32(bytes.data() + 24);
  entry.bytes = ReadU32(bytes.data() + 28);
  entry.checksum = ReadU32(bytes.data() + 32);
  return entry;
}

}  // namespace flightrec::backend
