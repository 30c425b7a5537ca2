#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "absl/status/statusor.h"
#include "common/chunk/byte_io.h"
#include "common/chunk/codec.h"
#include "common/chunk/crc32c.h"
#include "common/chunk/format.h"
#include "common/path/path.h"

namespace flightrec::chunk {
namespace {

constexpr char kGoldenFile[] = "tests/golden/chunk_v1.bin";
// The same with calls that a filter left out.
constexpr char kFilteredFile[] = "tests/golden/chunk_v1_filtered.bin";
constexpr uint64_t kMain = 0xAAAA000000000001;
constexpr uint64_t kLoop = 0xAAAA000000000002;
constexpr uint64_t kLeaf = 0xAAAA000000000003;

// What the golden file says: main (open) called loop twice; loop called leaf.
//   ordinal 2 loop  [2000 ............ 2900]
//   ordinal 3   leaf  [2100 2160]
//   ordinal 4   leaf        [2300 2370]
//   ordinal 6 loop                          [3000 3100]
CallChunk GoldenChunk() {
  const uint64_t main = ExtendPath(kRootPath, kMain);
  const uint64_t loop = ExtendPath(main, kLoop);
  const uint64_t leaf = ExtendPath(loop, kLeaf);
  CallChunk chunk;
  chunk.header.is_final = true;
  chunk.header.recording = ids::Ulid::Parse("01ARZ3NDEKTSV4RRFFQ69G5FAV").value();
  chunk.header.process_id = 0x1112131415161718;
  chunk.header.thread_id = 0x2122232425262728;
  chunk.header.tid = 4243;
  chunk.header.chunk_ordinal = 7;
  chunk.header.calibration = {.ref_ticks = 1500,
                              .ref_epoch_ns = 1'700'000'000'000'000'000,
                              .ns_per_tick_q32 = 0x62762762,
                              .uncertainty_ns = 19};
  chunk.header.clock_error_ticks = 3;
  chunk.header.lost_before_total = 6;
  chunk.paths = {{loop, kLoop}, {leaf, kLeaf}};
  chunk.calls.ordinal = {2, 3, 4, 6};
  chunk.calls.path_index = {0, 1, 1, 0};
  chunk.calls.start_ticks = {2000, 2100, 2300, 3000};
  chunk.calls.duration_ticks = {900, 60, 70, 100};
  chunk.open_calls = {{1, main, kMain, 1000}};
  chunk.lost_before = {{kLeaf, 5}};
  SummarizeCalls(chunk.calls, chunk.header);
  return chunk;
}

CallChunk FilteredChunk() {
  CallChunk chunk = GoldenChunk();
  chunk.header.required_features = kFeatureFiltered;
  chunk.filtered_before = {{kMain, 2}, {kLeaf, 300}};
  return chunk;
}

std::string GoldenBytes(const char* path = kGoldenFile) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

template <typename T>
T Field(const std::string& bytes, size_t offset) {
  return LoadInteger<T>(bytes.data() + offset);
}

TEST(Golden, version_1_file__decodes_to_what_was_written) {
  const absl::StatusOr<CallChunk> chunk = DecodeCallChunk(GoldenBytes());
  ASSERT_TRUE(chunk.ok()) << chunk.status();
  EXPECT_TRUE(*chunk == GoldenChunk());
}

TEST(Golden, version_1_file_with_filtered_calls__decodes_to_what_was_written) {
  const std::string bytes = GoldenBytes(kFilteredFile);
  const absl::StatusOr<CallChunk> chunk = DecodeCallChunk(bytes);
  ASSERT_TRUE(chunk.ok()) << chunk.status();
  EXPECT_TRUE(*chunk == FilteredChunk());
  EXPECT_EQ(Field<uint64_t>(bytes, 16), 1u);
}

TEST(Golden, version_1_file__encodes_again_to_the_same_meaning) {
  const absl::StatusOr<CallChunk> golden = DecodeCallChunk(GoldenBytes());
  ASSERT_TRUE(golden.ok()) << golden.status();
  const absl::StatusOr<std::string> bytes = EncodeCallChunk(*golden);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  const absl::StatusOr<CallChunk> again = DecodeCallChunk(*bytes);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(*again == *golden);
}

TEST(Golden, version_1_file__has_its_identity_at_the_offsets_of_the_format) {
  const std::string bytes = GoldenBytes();
  ASSERT_GT(bytes.size(), kHeaderBytes);
  EXPECT_EQ(bytes.substr(kOffsetMagic, 8), std::string("FRCHUNK\0", 8));
  EXPECT_EQ(Field<uint16_t>(bytes, 8), 1);
  EXPECT_EQ(Field<uint16_t>(bytes, 10), 184);
  EXPECT_EQ(Field<uint32_t>(bytes, 12),
            ExtendCrc32c(Crc32c(bytes.substr(0, 12)), bytes.substr(16)));
  EXPECT_EQ(Field<uint64_t>(bytes, 16), 0u);
  EXPECT_EQ(Field<uint16_t>(bytes, 24), 1);
  EXPECT_EQ(Field<uint8_t>(bytes, 26), 1);
  EXPECT_EQ(Field<uint8_t>(bytes, 27), 1);
  EXPECT_EQ(Field<uint32_t>(bytes, 28), 1u);
  EXPECT_EQ(Field<uint8_t>(bytes, 32), 0x01);
  EXPECT_EQ(Field<uint8_t>(bytes, 47), 0x5B);
  EXPECT_EQ(Field<uint64_t>(bytes, 48), 0x1112131415161718u);
  EXPECT_EQ(Field<uint64_t>(bytes, 56), 0x2122232425262728u);
  EXPECT_EQ(Field<uint32_t>(bytes, 64), 4243u);
  EXPECT_EQ(Field<uint64_t>(bytes, 72), 7u);
}

TEST(Golden, version_1_file__has_times_and_counts_at_the_offsets_of_the_format) {
  const std::string bytes = GoldenBytes();
  ASSERT_GT(bytes.size(), kHeaderBytes);
  EXPECT_EQ(Field<uint32_t>(bytes, 68), 4u);
  EXPECT_EQ(Field<uint64_t>(bytes, 80), 1500u);
  EXPECT_EQ(Field<int64_t>(bytes, 88), 1'700'000'000'000'000'000);
  EXPECT_EQ(Field<uint64_t>(bytes, 96), 0x62762762u);
  EXPECT_EQ(Field<uint64_t>(bytes, 104), 19u);
  EXPECT_EQ(Field<uint64_t>(bytes, 112), 3u);
  EXPECT_EQ(Field<uint64_t>(bytes, 120), 2000u);
  EXPECT_EQ(Field<uint64_t>(bytes, 128), 3100u);
  EXPECT_EQ(Field<uint64_t>(bytes, 136), 2u);
  EXPECT_EQ(Field<uint64_t>(bytes, 144), 6u);
  EXPECT_EQ(Field<uint64_t>(bytes, 152), 6u);
  EXPECT_EQ(Field<uint32_t>(bytes, 160), 3u);
  EXPECT_EQ(Field<uint32_t>(bytes, 164), 2u);
  EXPECT_EQ(Field<uint32_t>(bytes, 168), 1u);
  EXPECT_EQ(Field<uint32_t>(bytes, 172), 1u);
  EXPECT_EQ(Field<uint32_t>(bytes, 180), bytes.size() - 184);
}

}  // namespace
}  // namespace flightrec::chunk
