#include "common/chunk/header_codec.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/chunk/byte_io.h"
#include "common/chunk/crc32c.h"
#include "common/chunk/format.h"

namespace flightrec::chunk {
namespace {

uint32_t Checksum(absl::string_view chunk) {
  return ExtendCrc32c(Crc32c(chunk.substr(0, kOffsetChecksum)),
                      chunk.substr(kOffsetChecksum + sizeof(uint32_t)));
}

absl::Status CheckFrame(absl::string_view chunk) {
  if (chunk.size() < kHeaderBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("chunk has ", chunk.size(), " bytes, its header alone ", kHeaderBytes));
  }
  if (chunk.size() > kMaxChunkBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("chunk has ", chunk.size(), " bytes, the limit is ", kMaxChunkBytes));
  }
  if (std::memcmp(chunk.data() + kOffsetMagic, kMagic, sizeof(kMagic)) != 0) {
    return absl::InvalidArgumentError("bytes do not start with the magic FRCHUNK: not a chunk");
  }
  const auto version = LoadInteger<uint16_t>(chunk.data() + kOffsetVersion);
  if (version != kFormatVersion) {
    return absl::UnimplementedError(absl::StrCat("chunk has format version ", version,
                                                 ", this reader knows ", kFormatVersion,
                                                 ": read it with a newer flightrec"));
  }
  const auto header_bytes = LoadInteger<uint16_t>(chunk.data() + kOffsetHeaderBytes);
  if (header_bytes != kHeaderBytes) {
    return absl::InvalidArgumentError(absl::StrCat("chunk says its header has ", header_bytes,
                                                   " bytes, version 1 has ", kHeaderBytes));
  }
  const auto stored = LoadInteger<uint32_t>(chunk.data() + kOffsetChecksum);
  const uint32_t computed = Checksum(chunk);
  if (stored != computed) {
    return absl::DataLossError(absl::StrCat(
        "chunk checksum is ", absl::Hex(computed, absl::kZeroPad8), ", the header says ",
        absl::Hex(stored, absl::kZeroPad8), ": its bytes have changed since it was written"));
  }
  return absl::OkStatus();
}

// Everything the reader must know in order not to guess.
absl::Status CheckKnown(absl::string_view chunk) {
  const char* const at = chunk.data();
  const uint64_t unknown = LoadInteger<uint64_t>(at + kOffsetRequiredFeatures) & ~kKnownFeatures;
  if (unknown != 0) {
    return absl::UnimplementedError(
        absl::StrCat("chunk requires feature bit ", std::countr_zero(unknown),
                     ", which this reader does not know: read it with a newer flightrec"));
  }
  const auto architecture = LoadInteger<uint16_t>(at + kOffsetArchitecture);
  if (architecture != static_cast<uint16_t>(Architecture::kX86_64) &&
      architecture != static_cast<uint16_t>(Architecture::kAArch64)) {
    return absl::UnimplementedError(
        absl::StrCat("chunk is of architecture ", architecture, ", known are 1 and 2"));
  }
  const unsigned lane = LoadInteger<uint8_t>(at + kOffsetLane);
  if (lane != static_cast<unsigned>(Lane::kIndex)) {
    return absl::UnimplementedError(
        absl::StrCat("chunk is of lane ", lane, ", this reader knows the index lane, 1"));
  }
  const unsigned compression = LoadInteger<uint8_t>(at + kOffsetCompression);
  if (compression != kCompressionZstd) {
    return absl::UnimplementedError(
        absl::StrCat("chunk is compressed by method ", compression, ", known is 1, zstd"));
  }
  const auto flags = LoadInteger<uint32_t>(at + kOffsetFlags);
  if ((flags & ~kKnownFlags) != 0) {
    return absl::UnimplementedError(
        absl::StrCat("chunk has flags ", flags, ", known are ", kKnownFlags));
  }
  return absl::OkStatus();
}

absl::Status CheckLimit(absl::string_view what, uint64_t value, uint64_t limit) {
  if (value <= limit) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("chunk header has ", value, " ", what, ", the limit is ", limit));
}

absl::Status CheckShape(const FullHeader& full, size_t chunk_bytes) {
  const PayloadShape& shape = full.shape;
  const uint64_t payload = shape.payload_bytes;
  absl::Status status = CheckLimit("payload bytes", payload, kMaxPayloadBytes);
  // The smallest encoding of each entry bounds what the payload can hold.
  status.Update(CheckLimit("calls", full.header.call_count, kMaxCallsPerChunk));
  status.Update(CheckLimit("functions", shape.function_count,
                           std::min<uint64_t>(kMaxFunctionsPerChunk, payload / 8)));
  status.Update(
      CheckLimit("paths", shape.path_count, std::min<uint64_t>(kMaxPathsPerChunk, payload / 2)));
  status.Update(CheckLimit("open calls", shape.open_call_count,
                           std::min<uint64_t>(kMaxOpenCallsPerChunk, payload / 3)));
  status.Update(CheckLimit("functions with lost calls", shape.lost_function_count,
                           std::min<uint64_t>(kMaxLostFunctionsPerChunk, payload / 2)));
  if (!status.ok()) return status;
  if (shape.compressed_bytes != chunk_bytes - kHeaderBytes) {
    return absl::InvalidArgumentError(absl::StrCat("chunk has ", chunk_bytes - kHeaderBytes,
                                                   " bytes behind its header, which says ",
                                                   shape.compressed_bytes));
  }
  return absl::OkStatus();
}

}  // namespace

void StoreHeader(const FullHeader& full, std::string& chunk) {
  const ChunkHeader& header = full.header;
  const PayloadShape& shape = full.shape;
  std::memset(chunk.data(), 0, kHeaderBytes);
  std::memcpy(chunk.data() + kOffsetMagic, kMagic, sizeof(kMagic));
  StoreInteger(chunk, kOffsetVersion, kFormatVersion);
  StoreInteger(chunk, kOffsetHeaderBytes, static_cast<uint16_t>(kHeaderBytes));
  StoreInteger(chunk, kOffsetRequiredFeatures, header.required_features);
  StoreInteger(chunk, kOffsetArchitecture, header.architecture);
  StoreInteger(chunk, kOffsetLane, header.lane);
  StoreInteger(chunk, kOffsetCompression, kCompressionZstd);
  StoreInteger(chunk, kOffsetFlags, header.is_final ? kFlagFinal : 0u);
  std::memcpy(chunk.data() + kOffsetRecording, header.recording.bytes().data(), ids::Ulid::kBytes);
  StoreInteger(chunk, kOffsetProcessId, header.process_id);
  StoreInteger(chunk, kOffsetThreadId, header.thread_id);
  StoreInteger(chunk, kOffsetTid, header.tid);
  StoreInteger(chunk, kOffsetCallCount, header.call_count);
  StoreInteger(chunk, kOffsetChunkOrdinal, header.chunk_ordinal);
  StoreInteger(chunk, kOffsetRefTicks, header.calibration.ref_ticks);
  StoreInteger(chunk, kOffsetRefEpochNs, header.calibration.ref_epoch_ns);
  StoreInteger(chunk, kOffsetNsPerTickQ32, header.calibration.ns_per_tick_q32);
  StoreInteger(chunk, kOffsetUncertaintyNs, header.calibration.uncertainty_ns);
  StoreInteger(chunk, kOffsetClockErrorTicks, header.clock_error_ticks);
  StoreInteger(chunk, kOffsetMinStartTicks, header.min_start_ticks);
  StoreInteger(chunk, kOffsetMaxEndTicks, header.max_end_ticks);
  StoreInteger(chunk, kOffsetMinOrdinal, header.min_ordinal);
  StoreInteger(chunk, kOffsetMaxOrdinal, header.max_ordinal);
  StoreInteger(chunk, kOffsetLostBeforeTotal, header.lost_before_total);
  StoreInteger(chunk, kOffsetFunctionCount, shape.function_count);
  StoreInteger(chunk, kOffsetPathCount, shape.path_count);
  StoreInteger(chunk, kOffsetOpenCallCount, shape.open_call_count);
  StoreInteger(chunk, kOffsetLostFunctionCount, shape.lost_function_count);
  StoreInteger(chunk, kOffsetPayloadBytes, shape.payload_bytes);
  StoreInteger(chunk, kOffsetCompressedBytes, shape.compressed_bytes);
  StoreInteger(chunk, kOffsetChecksum, Checksum(chunk));
}

absl::StatusOr<FullHeader> ParseHeader(absl::string_view chunk) {
  if (absl::Status status = CheckFrame(chunk); !status.ok()) return status;
  if (absl::Status status = CheckKnown(chunk); !status.ok()) return status;
  const auto u32 = [&](size_t offset) { return LoadInteger<uint32_t>(chunk.data() + offset); };
  const auto u64 = [&](size_t offset) { return LoadInteger<uint64_t>(chunk.data() + offset); };
  FullHeader full;
  ChunkHeader& header = full.header;
  header.required_features = u64(kOffsetRequiredFeatures);
  header.architecture = LoadInteger<Architecture>(chunk.data() + kOffsetArchitecture);
  header.lane = LoadInteger<Lane>(chunk.data() + kOffsetLane);
  header.is_final = (u32(kOffsetFlags) & kFlagFinal) != 0;
  header.recording = ids::Ulid(LoadInteger<ids::Ulid::Bytes>(chunk.data() + kOffsetRecording));
  header.process_id = u64(kOffsetProcessId);
  header.thread_id = u64(kOffsetThreadId);
  header.tid = u32(kOffsetTid);
  header.call_count = u32(kOffsetCallCount);
  header.chunk_ordinal = u64(kOffsetChunkOrdinal);
  header.calibration.ref_ticks = u64(kOffsetRefTicks);
  header.calibration.ref_epoch_ns = LoadInteger<int64_t>(chunk.data() + kOffsetRefEpochNs);
  header.calibration.ns_per_tick_q32 = u64(kOffsetNsPerTickQ32);
  header.calibration.uncertainty_ns = u64(kOffsetUncertaintyNs);
  header.clock_error_ticks = u64(kOffsetClockErrorTicks);
  header.min_start_ticks = u64(kOffsetMinStartTicks);
  header.max_end_ticks = u64(kOffsetMaxEndTicks);
  header.min_ordinal = u64(kOffsetMinOrdinal);
  header.max_ordinal = u64(kOffsetMaxOrdinal);
  header.lost_before_total = u64(kOffsetLostBeforeTotal);
  full.shape.function_count = u32(kOffsetFunctionCount);
  full.shape.path_count = u32(kOffsetPathCount);
  full.shape.open_call_count = u32(kOffsetOpenCallCount);
  full.shape.lost_function_count = u32(kOffsetLostFunctionCount);
  full.shape.payload_bytes = u32(kOffsetPayloadBytes);
  full.shape.compressed_bytes = u32(kOffsetCompressedBytes);
  if (absl::Status status = CheckShape(full, chunk.size()); !status.ok()) {
    return status;
  }
  return full;
}

}  // namespace flightrec::chunk
