// What the store keeps beside a chunk, under its identity: enough to find it, to skip it and to
// tell a resent chunk from a different one, without reading it. FORMAT.md describes the bytes.
//
// Thread-safe: values and pure functions.
#ifndef SERVICES_BACKEND_STORE_INDEX_ENTRY_H_
#define SERVICES_BACKEND_STORE_INDEX_ENTRY_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/chunk/chunk.h"

namespace flightrec::backend {

struct IndexEntry {
  // From 1, grows with every chunk of the recording.
  uint64_t position = 0;
  // Nanoseconds since the epoch. A chunk without calls, or with calls that never ended, reaches
  // over all time.
  int64_t start_ns = 0;
  int64_t end_ns = 0;
  uint32_t call_count = 0;
  uint32_t bytes = 0;
  // The chunk's own.
  uint32_t checksum = 0;

  bool operator==(const IndexEntry&) const = default;
};

inline constexpr size_t kIndexEntryBytes = 36;

// `data` is the chunk that `header` was decoded from. `position` is left 0.
IndexEntry MakeIndexEntry(const chunk::ChunkHeader& header, absl::string_view data);

std::string EncodeIndexEntry(const IndexEntry& entry);
// DATA_LOSS when the length is wrong.
absl::StatusOr<IndexEntry> DecodeIndexEntry(absl::string_view bytes);

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_STORE_INDEX_ENTRY_H_
