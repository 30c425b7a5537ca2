// The chunk decoder. The first byte of an input says what the rest is: 0, a chunk as it is; 1, one
// whose checksum is wrong; 2, a header and its payload before compression.
#include <zstd.h>

#include <cstdint>
#include <cstdlib>
#include <string>

#include "common/chunk/byte_io.h"
#include "common/chunk/codec.h"
#include "common/chunk/crc32c.h"
#include "common/chunk/format.h"

namespace flightrec::chunk {
namespace {

void Seal(std::string& bytes) {
  const absl::string_view all = bytes;
  StoreInteger(bytes, kOffsetChecksum,
               ExtendCrc32c(Crc32c(all.substr(0, kOffsetChecksum)),
                            all.substr(kOffsetChecksum + sizeof(uint32_t))));
}

void Compress(std::string& bytes) {
  const std::string payload = bytes.substr(kHeaderBytes);
  std::string frame(ZSTD_compressBound(payload.size()), '\0');
  frame.resize(ZSTD_compress(frame.data(), frame.size(), payload.data(), payload.size(), 1));
  bytes.resize(kHeaderBytes);
  bytes += frame;
  StoreInteger(bytes, kOffsetPayloadBytes, static_cast<uint32_t>(payload.size()));
  StoreInteger(bytes, kOffsetCompressedBytes, static_cast<uint32_t>(frame.size()));
}

void Decode(const std::string& bytes) {
  const absl::StatusOr<ChunkHeader> header = DecodeHeader(bytes);
  const absl::StatusOr<CallChunk> chunk = DecodeCallChunk(bytes);
  if (!chunk.ok()) return;
  // What decodes has a header that decodes, and comes back the same when it is encoded again.
  if (!header.ok() || chunk->calls.size() != header->call_count) std::abort();
  const absl::StatusOr<std::string> again = EncodeCallChunk(*chunk);
  if (!again.ok()) return;
  const absl::StatusOr<CallChunk> same = DecodeCallChunk(*again);
  if (!same.ok() || same->calls != chunk->calls || same->paths.size() != chunk->paths.size()) {
    std::abort();
  }
}

}  // namespace
}  // namespace flightrec::chunk

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  namespace chunk = flightrec::chunk;
  if (size == 0) return 0;
  std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] != 0 && bytes.size() >= chunk::kHeaderBytes) {
    if (data[0] == 2) chunk::Compress(bytes);
    chunk::Seal(bytes);
  }
  chunk::Decode(bytes);
  return 0;
}
