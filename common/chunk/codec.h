// Call chunks to bytes and back, as FORMAT.md says.
//
// Thread-safe: pure functions. Does not read other lanes than the index lane
// and does not split a chunk that is too large.
#ifndef COMMON_CHUNK_CODEC_H_
#define COMMON_CHUNK_CODEC_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/chunk/chunk.h"

namespace flightrec::chunk {

// zstd's levels; 1 costs the least time of the traced machine.
inline constexpr int kDefaultCompressionLevel = 1;

// Of the header, call_count, min_* and max_* are computed from the calls,
// whatever they say in `chunk`. INVALID_ARGUMENT if columns differ in length,
// ordinals do not increase, a path index has no path or a count is above its
// limit in format.h. RESOURCE_EXHAUSTED if the result would exceed
// kMaxChunkBytes: split the calls.
absl::StatusOr<std::string> EncodeCallChunk(const CallChunk& chunk,
                                            int compression_level = kDefaultCompressionLevel);

// Checks everything that can be checked without decompressing, the checksum
// over all bytes included. INVALID_ARGUMENT: not a chunk, or cut. DATA_LOSS:
// bad checksum. UNIMPLEMENTED: version, feature bit, lane or architecture that
// this reader does not know.
absl::StatusOr<ChunkHeader> DecodeHeader(absl::string_view bytes);

// Errors as DecodeHeader, and INVALID_ARGUMENT for a payload that contradicts
// its header or the limits. Allocates no more than the limits in format.h ask
// for, whatever the bytes say.
absl::StatusOr<CallChunk> DecodeCallChunk(absl::string_view bytes);

// The same into `chunk`, reusing the memory it holds; unspecified but valid
// after an error.
absl::Status DecodeCallChunkInto(absl::string_view bytes, CallChunk& chunk);

}  // namespace flightrec::chunk

#endif  // COMMON_CHUNK_CODEC_H_
