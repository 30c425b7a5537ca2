// RocksDB's checksum, by the processor's instruction for it. Debian builds RocksDB for the oldest
// x86-64, with tables: a quarter of the time of an ingest was spent there. This object takes the
// place of that archive member, so it has all of its functions, and the values are the same.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "common/chunk/crc32c.h"

namespace rocksdb::crc32c {
namespace {

constexpr uint32_t kReversedPolynomial = 0x82F63B78u;
constexpr size_t kLengthBits = 64;

// What appending some zero bytes does to each bit of a checksum.
using ZerosOperator = std::array<uint32_t, 32>;

constexpr uint32_t Apply(const ZerosOperator& zeros, uint32_t crc) {
  uint32_t result = 0;
  for (size_t bit = 0; crc != 0; ++bit, crc >>= 1) {
    result ^= zeros[bit] & (0 - (crc & 1));
  }
  return result;
}

constexpr ZerosOperator Twice(const ZerosOperator& zeros) {
  ZerosOperator result{};
  for (size_t bit = 0; bit < result.size(); ++bit) result[bit] = Apply(zeros, zeros[bit]);
  return result;
}

// Element i appends 2^i zero bytes.
constexpr std::array<ZerosOperator, kLengthBits> MakeZeros() {
  ZerosOperator one_bit{};
  one_bit[0] = kReversedPolynomial;
  for (size_t bit = 1; bit < one_bit.size(); ++bit) one_bit[bit] = uint32_t{1} << (bit - 1);
  std::array<ZerosOperator, kLengthBits> zeros{};
  zeros[0] = Twice(Twice(Twice(one_bit)));
  for (size_t i = 1; i < kLengthBits; ++i) zeros[i] = Twice(zeros[i - 1]);
  return zeros;
}

constexpr std::array<ZerosOperator, kLengthBits> kZeros = MakeZeros();

}  // namespace

// Declared in RocksDB's internal util/crc32c.h.
uint32_t Extend(uint32_t before, const char* data, size_t bytes);
uint32_t Crc32cCombine(uint32_t first, uint32_t second, size_t second_bytes);
std::string IsFastCrc32Supported();

uint32_t Extend(uint32_t before, const char* data, size_t bytes) {
  return flightrec::chunk::ExtendCrc32c(before, absl::string_view(data, bytes));
}

// The checksum of two strings, from that of each and the length of the second.
uint32_t Crc32cCombine(uint32_t first, uint32_t second, size_t second_bytes) {
  for (size_t bit = 0; second_bytes != 0; ++bit, second_bytes >>= 1) {
    if ((second_bytes & 1) != 0) first = Apply(kZeros[bit], first);
  }
  return first ^ second;
}

// For RocksDB's own log.
std::string IsFastCrc32Supported() { return "flightrec"; }

}  // namespace rocksdb::crc32c
