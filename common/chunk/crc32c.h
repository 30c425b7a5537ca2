// CRC-32C (Castagnoli), as in iSCSI and RocksDB, with the CPU's instruction
// where there is one.
//
// Thread-safe: pure functions. Does not mask the result for storage inside
// other checksummed data.
#ifndef COMMON_CHUNK_CRC32C_H_
#define COMMON_CHUNK_CRC32C_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace flightrec::chunk {

// Checksum of some bytes followed by `bytes`; `before` is that of the former.
uint32_t ExtendCrc32c(uint32_t before, absl::string_view bytes);

inline uint32_t Crc32c(absl::string_view bytes) { return ExtendCrc32c(0, bytes); }

// The same without the CPU's instruction, for CPUs without it and for the test.
uint32_t ExtendCrc32cPortable(uint32_t before, absl::string_view bytes);

}  // namespace flightrec::chunk

#endif  // COMMON_CHUNK_CRC32C_H_
