// A column of integers as byte planes: all low bytes together, all second bytes
// together and so on, which zstd's entropy coder shrinks better than mixed bytes
// and which is read with few branches. FORMAT.md, "Packed column".
//
// Thread-safe: pure functions. Does not compress.
#ifndef COMMON_CHUNK_PACKED_COLUMN_H_
#define COMMON_CHUNK_PACKED_COLUMN_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/types/span.h"

namespace flightrec::chunk {

// ReadPackedColumn may read this many bytes behind the column, without using
// them: the buffer must reach that far.
inline constexpr size_t kPackedColumnSlack = 8;

void AppendPackedColumn(absl::Span<const uint64_t> values, std::string& bytes);

// Reads values.size() values from the front of `bytes` and removes them from
// it. Returns false if they are malformed or cut.
bool ReadPackedColumn(absl::Span<const uint8_t>& bytes, absl::Span<uint64_t> values);
bool ReadPackedColumn(absl::Span<const uint8_t>& bytes, absl::Span<uint32_t> values);

}  // namespace flightrec::chunk

#endif  // COMMON_CHUNK_PACKED_COLUMN_H_
