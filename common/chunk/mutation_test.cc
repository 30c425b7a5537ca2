#include <gtest/gtest.h>

#include <random>
#include <string>

#include "absl/status/statusor.h"
#include "common/chunk/byte_io.h"
#include "common/chunk/codec.h"
#include "common/chunk/compression.h"
#include "common/chunk/crc32c.h"
#include "common/chunk/format.h"
#include "common/testing/synthetic_calls.h"

namespace flightrec::chunk {
namespace {

constexpr int kMutants = 10'000;

std::string SmallChunk() {
  CallChunk chunk = testing::MakeCallChunk(testing::SyntheticThread(5).Run(300));
  chunk.open_calls = {{1, 2, 3, 4}, {2, 7, 3, 9}};
  chunk.lost_before = {{3, 4}};
  return EncodeCallChunk(chunk).value();
}

void Seal(std::string& bytes) {
  StoreInteger(bytes, kOffsetCompressedBytes, static_cast<uint32_t>(bytes.size() - kHeaderBytes));
  const absl::string_view all = bytes;
  StoreInteger(
      bytes, kOffsetChecksum,
      ExtendCrc32c(Crc32c(all.substr(0, kOffsetChecksum)), all.substr(kOffsetChecksum + 4)));
}

void Mutate(std::mt19937_64& random, size_t begin, std::string& bytes) {
  for (uint64_t changes = 1 + random() % 4; changes > 0; --changes) {
    const size_t at = begin + random() % (bytes.size() - begin);
    switch (random() % 3) {
      case 0:
        bytes[at] = static_cast<char>(random());
        break;
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ 1 << random() % 8);
        break;
      default:
        bytes[at] = static_cast<char>(random() % 2 == 0 ? 0xFF : 0);
    }
  }
}

// A decoder that does not reject a mutant must give a chunk that it would
// encode.
void ExpectRejectedOrValid(const std::string& mutant) {
  const absl::StatusOr<CallChunk> chunk = DecodeCallChunk(mutant);
  if (chunk.ok()) {
    EXPECT_TRUE(EncodeCallChunk(*chunk).ok());
  }
}

TEST(Mutation, changed_chunks_with_a_fitting_checksum__never_crash) {
  std::mt19937_64 random(11);
  const std::string original = SmallChunk();
  for (int i = 0; i < kMutants; ++i) {
    std::string mutant = original;
    Mutate(random, kOffsetRequiredFeatures, mutant);
    Seal(mutant);
    ExpectRejectedOrValid(mutant);
  }
}

// Behind zstd, so that the mutations reach the payload's decoder.
TEST(Mutation, changed_payloads__never_crash) {
  std::mt19937_64 random(12);
  const std::string original = SmallChunk();
  std::string payload(LoadInteger<uint32_t>(original.data() + kOffsetPayloadBytes), '\0');
  ASSERT_TRUE(Decompress(absl::string_view(original).substr(kHeaderBytes),
                         absl::MakeSpan(reinterpret_cast<uint8_t*>(payload.data()), payload.size()))
                  .ok());
  for (int i = 0; i < kMutants; ++i) {
    std::string changed = payload;
    Mutate(random, 0, changed);
    if (random() % 4 == 0) changed.resize(random() % changed.size());
    std::string mutant = original.substr(0, kHeaderBytes);
    const absl::string_view part = changed;
    ASSERT_TRUE(CompressParts({part}, 1, mutant).ok());
    StoreInteger(mutant, kOffsetPayloadBytes, static_cast<uint32_t>(changed.size()));
    Seal(mutant);
    ExpectRejectedOrValid(mutant);
  }
}

}  // namespace
}  // namespace flightrec::chunk
