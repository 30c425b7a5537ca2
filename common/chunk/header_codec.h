// The fixed header of a chunk to bytes and back.
//
// Thread-safe: pure functions. Does not look at the payload.
#ifndef COMMON_CHUNK_HEADER_CODEC_H_
#define COMMON_CHUNK_HEADER_CODEC_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/chunk/chunk.h"

namespace flightrec::chunk {

// What the header says about the payload.
struct PayloadShape {
  uint32_t function_count = 0;
  uint32_t path_count = 0;
  uint32_t open_call_count = 0;
  uint32_t lost_function_count = 0;
  uint32_t payload_bytes = 0;
  uint32_t compressed_bytes = 0;
};

struct FullHeader {
  ChunkHeader header;
  PayloadShape shape;
};

// Writes the first kHeaderBytes of `chunk`, which holds the compressed payload
// behind them, and the checksum of all.
void StoreHeader(const FullHeader& header, std::string& chunk);

// Checks as codec.h says of DecodeHeader.
absl::StatusOr<FullHeader> ParseHeader(absl::string_view chunk);

}  // namespace flightrec::chunk

#endif  // COMMON_CHUNK_HEADER_CODEC_H_
