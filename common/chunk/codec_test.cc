#include "common/chunk/codec.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/status/status.h"
#include "common/chunk/byte_io.h"
#include "common/chunk/crc32c.h"
#include "common/chunk/format.h"
#include "common/path/path.h"
#include "common/testing/synthetic_calls.h"

namespace flightrec::chunk {
namespace {

CallChunk TypicalChunk(size_t calls = 2000) {
  CallChunk chunk = testing::MakeCallChunk(testing::SyntheticThread(3).Run(calls), 9);
  const uint64_t outer = ExtendPath(kRootPath, 71);
  chunk.open_calls = {{1, outer, 71, 999'000'000},
                      {2, ExtendPath(outer, 72), 72, 999'000'700},
                      {8, 0xABCDEF, 73, 999'000'600}};
  chunk.lost_before = {{71, 5}, {99, 1'000'000}};
  chunk.header.lost_before_total = 1'000'007;
  chunk.header.clock_error_ticks = 40;
  return chunk;
}

std::string Encoded(const CallChunk& chunk) {
  const absl::StatusOr<std::string> bytes = EncodeCallChunk(chunk);
  EXPECT_TRUE(bytes.ok()) << bytes.status();
  return bytes.value_or("");
}

void ExpectSurvives(const CallChunk& chunk) {
  const absl::StatusOr<CallChunk> decoded = DecodeCallChunk(Encoded(chunk));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_TRUE(*decoded == chunk);
}

// `bytes` after a change of their header, with a checksum that fits again.
std::string Resealed(std::string bytes) {
  const uint32_t checksum =
      ExtendCrc32c(Crc32c(absl::string_view(bytes).substr(0, kOffsetChecksum)),
                   absl::string_view(bytes).substr(kOffsetChecksum + 4));
  StoreInteger(bytes, kOffsetChecksum, checksum);
  return bytes;
}

absl::StatusCode CodeAfter(size_t offset, uint8_t value) {
  std::string bytes = Encoded(TypicalChunk());
  bytes[offset] = static_cast<char>(value);
  return DecodeCallChunk(Resealed(bytes)).status().code();
}

TEST(Codec, typical_chunk__decodes_to_itself) { ExpectSurvives(TypicalChunk()); }

TEST(Codec, filtered_calls__decode_to_themselves) {
  CallChunk chunk = TypicalChunk();
  chunk.header.required_features = kFeatureFiltered;
  ExpectSurvives(chunk);
  chunk.filtered_before = {{71, 1'000'000'000}, {200, 1}};
  ExpectSurvives(chunk);
}

TEST(Codec, filtered_calls_without_their_feature__then_invalid_argument) {
  CallChunk chunk = TypicalChunk();
  chunk.filtered_before = {{71, 5}};
  EXPECT_EQ(EncodeCallChunk(chunk).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Codec, full_chunk__decodes_to_itself_in_few_bytes_per_call) {
  CallChunk chunk = TypicalChunk(kMaxCallsPerChunk - 100);
  ExpectSurvives(chunk);
  EXPECT_LE(Encoded(chunk).size(), 3 * chunk.calls.size());
}

TEST(Codec, final_chunk_without_calls__keeps_its_open_calls) {
  CallChunk chunk = TypicalChunk(0);
  chunk.header.is_final = true;
  ExpectSurvives(chunk);
}

TEST(Codec, negative_deltas_and_extreme_values__decode_to_themselves) {
  CallChunk chunk = TypicalChunk(0);
  chunk.paths = {{ExtendPath(kRootPath, 5), 5}, {1234, 6}};
  chunk.calls.ordinal = {1, 7, ~uint64_t{0}};
  chunk.calls.path_index = {1, 0, 1};
  chunk.calls.start_ticks = {500, 100, ~uint64_t{0} - 3};
  chunk.calls.duration_ticks = {0, uint64_t{1} << 62, 3};
  SummarizeCalls(chunk.calls, chunk.header);
  ExpectSurvives(chunk);
}

TEST(Codec, header_alone__says_what_the_chunk_says) {
  const CallChunk chunk = TypicalChunk();
  const absl::StatusOr<ChunkHeader> header = DecodeHeader(Encoded(chunk));
  ASSERT_TRUE(header.ok()) << header.status();
  EXPECT_TRUE(*header == chunk.header);
}

TEST(Codec, chunk_decoded_into_a_used_one__leaves_nothing_of_it) {
  CallChunk decoded = TypicalChunk(5000);
  const CallChunk chunk = TypicalChunk(10);
  ASSERT_TRUE(DecodeCallChunkInto(Encoded(chunk), decoded).ok());
  EXPECT_TRUE(decoded == chunk);
}

TEST(Codec, changed_byte__is_data_loss_with_both_checksums) {
  std::string bytes = Encoded(TypicalChunk());
  bytes[bytes.size() - 1] ^= 1;
  const absl::Status status = DecodeCallChunk(bytes).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_NE(status.message().find("checksum is"), absl::string_view::npos);
  EXPECT_EQ(DecodeHeader(bytes).status().code(), absl::StatusCode::kDataLoss);
}

TEST(Codec, unknown_feature__is_refused_by_its_bit) {
  std::string bytes = Encoded(TypicalChunk());
  StoreInteger(bytes, kOffsetRequiredFeatures, uint64_t{1} << 37);
  const absl::Status status = DecodeHeader(Resealed(bytes)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_NE(status.message().find("feature bit 37"), absl::string_view::npos);
}

TEST(Codec, unknown_version_architecture_lane_compression_flag__is_refused) {
  EXPECT_EQ(CodeAfter(kOffsetVersion, 2), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(CodeAfter(kOffsetArchitecture, 9), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(CodeAfter(kOffsetLane, 2), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(CodeAfter(kOffsetCompression, 0), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(CodeAfter(kOffsetFlags, 2), absl::StatusCode::kUnimplemented);
}

TEST(Codec, counts_above_their_limits__are_refused_before_allocation) {
  for (const size_t offset :
       {kOffsetCallCount, kOffsetFunctionCount, kOffsetPathCount, kOffsetOpenCallCount,
        kOffsetLostFunctionCount, kOffsetPayloadBytes, kOffsetCompressedBytes}) {
    std::string bytes = Encoded(TypicalChunk());
    StoreInteger(bytes, offset, ~uint32_t{0});
    EXPECT_EQ(DecodeCallChunk(Resealed(bytes)).status().code(), absl::StatusCode::kInvalidArgument)
        << offset;
  }
}

TEST(Codec, header_range_that_the_calls_contradict__is_refused) {
  EXPECT_EQ(CodeAfter(kOffsetMaxEndTicks, 1), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CodeAfter(kOffsetMaxOrdinal, 1), absl::StatusCode::kInvalidArgument);
}

TEST(Codec, cut_bytes__are_refused) {
  const std::string bytes = Encoded(TypicalChunk(50));
  for (size_t length = 0; length < bytes.size(); ++length) {
    const absl::StatusCode code = DecodeCallChunk(bytes.substr(0, length)).status().code();
    ASSERT_EQ(code, length < kHeaderBytes ? absl::StatusCode::kInvalidArgument
                                          : absl::StatusCode::kDataLoss)
        << length;
  }
}

TEST(Codec, ordinals_that_do_not_increase__are_not_encoded) {
  CallChunk chunk = TypicalChunk();
  chunk.calls.ordinal[5] = chunk.calls.ordinal[4];
  const absl::Status status = EncodeCallChunk(chunk).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("call 5"), absl::string_view::npos);
}

TEST(Codec, path_index_without_path__is_not_encoded) {
  CallChunk chunk = TypicalChunk();
  chunk.calls.path_index[3] = static_cast<uint32_t>(chunk.paths.size());
  EXPECT_EQ(EncodeCallChunk(chunk).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Codec, calls_above_the_limit__are_not_encoded) {
  EXPECT_EQ(EncodeCallChunk(TypicalChunk(kMaxCallsPerChunk + 1)).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(Codec, chunk_that_does_not_fit__is_to_be_split) {
  CallChunk chunk = TypicalChunk(kMaxCallsPerChunk - 100);
  uint64_t noise = 1;
  for (uint64_t& start : chunk.calls.start_ticks) {
    start = noise *= 0x9E3779B97F4A7C15u;
  }
  for (uint64_t& duration : chunk.calls.duration_ticks) {
    duration = noise *= 0x9E3779B97F4A7C15u;
  }
  EXPECT_EQ(EncodeCallChunk(chunk).status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace flightrec::chunk
