// One zstd frame made of parts, each with an entropy table of its own.
//
// Thread-safe: each thread keeps one compressor and one decompressor (about
// 2 MiB) until it ends. Does not checksum.
#ifndef COMMON_CHUNK_COMPRESSION_H_
#define COMMON_CHUNK_COMPRESSION_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace flightrec::chunk {

// Appends the frame to `out`. `parts` are compressed in order; readers see them
// joined. INTERNAL if zstd fails.
absl::Status CompressParts(absl::Span<const absl::string_view> parts, int level, std::string& out);

// Fills `out` exactly. INVALID_ARGUMENT if the frame is malformed or holds more
// or less than out.size() bytes.
absl::Status Decompress(absl::string_view frame, absl::Span<uint8_t> out);

}  // namespace flightrec::chunk

#endif  // COMMON_CHUNK_COMPRESSION_H_
