#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "common/chunk/crc32c.h"

// As RocksDB declares them.
namespace rocksdb::crc32c {
uint32_t Extend(uint32_t before, const char* data, size_t bytes);
uint32_t Crc32cCombine(uint32_t first, uint32_t second, size_t second_bytes);
std::string IsFastCrc32Supported();
}  // namespace rocksdb::crc32c

namespace flightrec::backend {
namespace {

uint32_t Crc(const std::string& text) {
  return rocksdb::crc32c::Extend(0, text.data(), text.size());
}

TEST(RocksdbChecksum, program_is_linked_with_rocksdb__then_ours_is_used) {
  EXPECT_EQ(rocksdb::crc32c::IsFastCrc32Supported(), "flightrec");
}

TEST(RocksdbChecksum, known_strings__then_the_published_values) {
  // RFC 3720, B.4.
  EXPECT_EQ(Crc(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(Crc("123456789"), 0xe3069283u);
}

TEST(RocksdbChecksum, two_parts_of_any_length__then_combined_as_if_they_were_one) {
  const std::string text(40000, 'x');
  for (const size_t second : {0u, 1u, 7u, 8u, 255u, 32761u, 40000u}) {
    const std::string head = text.substr(0, text.size() - second);
    const std::string tail = text.substr(text.size() - second);
    EXPECT_EQ(rocksdb::crc32c::Crc32cCombine(Crc(head), Crc(tail), tail.size()), Crc(text))
        << second;
  }
}

}  // namespace
}  // namespace flightrec::backend
