// Constants of the call chunk's bytes; FORMAT.md explains them.
//
// Constants only. Does not encode or decode.
#ifndef COMMON_CHUNK_FORMAT_H_
#define COMMON_CHUNK_FORMAT_H_

#include <cstddef>
#include <cstdint>

namespace flightrec::chunk {

inline constexpr size_t kMaxChunkBytes = size_t{1} << 20;
inline constexpr uint32_t kMaxCallsPerChunk = 65536;
inline constexpr uint32_t kMaxPathsPerChunk = kMaxCallsPerChunk;
inline constexpr uint32_t kMaxFunctionsPerChunk = kMaxPathsPerChunk;
inline constexpr uint32_t kMaxOpenCallsPerChunk = 131072;
inline constexpr uint32_t kMaxLostFunctionsPerChunk = 65536;
inline constexpr uint32_t kMaxFilteredFunctionsPerChunk = kMaxLostFunctionsPerChunk;

// Of the payload before compression; above the largest that the other limits
// allow for calls, so that only dictionaries of absurd size are refused.
inline constexpr uint32_t kMaxPayloadBytes = uint32_t{8} << 20;

inline constexpr uint8_t kMagic[8] = {'F', 'R', 'C', 'H', 'U', 'N', 'K', 0};
inline constexpr uint16_t kFormatVersion = 1;

// Bits of required_features. FILTERED: the payload has part 4a.
inline constexpr uint64_t kFeatureFiltered = 1;
inline constexpr uint64_t kKnownFeatures = kFeatureFiltered;

inline constexpr uint32_t kFlagFinal = 1;
inline constexpr uint32_t kKnownFlags = kFlagFinal;

inline constexpr uint8_t kCompressionZstd = 1;

// Offsets in the header. All integers are little-endian, the ULID is its 16
// bytes in order.
inline constexpr size_t kOffsetMagic = 0;
inline constexpr size_t kOffsetVersion = 8;
inline constexpr size_t kOffsetHeaderBytes = 10;
inline constexpr size_t kOffsetChecksum = 12;
inline constexpr size_t kOffsetRequiredFeatures = 16;
inline constexpr size_t kOffsetArchitecture = 24;
inline constexpr size_t kOffsetLane = 26;
inline constexpr size_t kOffsetCompression = 27;
inline constexpr size_t kOffsetFlags = 28;
inline constexpr size_t kOffsetRecording = 32;
inline constexpr size_t kOffsetProcessId = 48;
inline constexpr size_t kOffsetThreadId = 56;
inline constexpr size_t kOffsetTid = 64;
inline constexpr size_t kOffsetCallCount = 68;
inline constexpr size_t kOffsetChunkOrdinal = 72;
inline constexpr size_t kOffsetRefTicks = 80;
inline constexpr size_t kOffsetRefEpochNs = 88;
inline constexpr size_t kOffsetNsPerTickQ32 = 96;
inline constexpr size_t kOffsetUncertaintyNs = 104;
inline constexpr size_t kOffsetClockErrorTicks = 112;
inline constexpr size_t kOffsetMinStartTicks = 120;
inline constexpr size_t kOffsetMaxEndTicks = 128;
inline constexpr size_t kOffsetMinOrdinal = 136;
inline constexpr size_t kOffsetMaxOrdinal = 144;
inline constexpr size_t kOffsetLostBeforeTotal = 152;
inline constexpr size_t kOffsetFunctionCount = 160;
inline constexpr size_t kOffsetPathCount = 164;
inline constexpr size_t kOffsetOpenCallCount = 168;
inline constexpr size_t kOffsetLostFunctionCount = 172;
inline constexpr size_t kOffsetPayloadBytes = 176;
inline constexpr size_t kOffsetCompressedBytes = 180;
inline constexpr size_t kHeaderBytes = 184;

// How the payload refers to the parent of a path.
inline constexpr uint64_t kParentIsRoot = 0;
inline constexpr uint64_t kParentIsGiven = 1;     // 8 bytes of path id follow
inline constexpr uint64_t kParentFirstIndex = 2;  // plus an index of a path above

}  // namespace flightrec::chunk

#endif  // COMMON_CHUNK_FORMAT_H_
