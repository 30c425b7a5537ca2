#include "common/chunk/crc32c.h"

#include <gtest/gtest.h>

#include <string>

namespace flightrec::chunk {
namespace {

// Values of RFC 3720, B.4.
TEST(Crc32c, published_inputs__give_published_checksums) {
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAu);
  EXPECT_EQ(Crc32c(std::string(32, '\xFF')), 0x62A8AB43u);
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);
}

TEST(Crc32c, bytes_in_two_parts__have_the_checksum_of_the_whole) {
  EXPECT_EQ(ExtendCrc32c(Crc32c("1234"), "56789"), Crc32c("123456789"));
}

TEST(Crc32c, portable_version__agrees) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    bytes.push_back(static_cast<char>(i * 7));
    ASSERT_EQ(ExtendCrc32cPortable(5, bytes), ExtendCrc32c(5, bytes)) << i;
  }
}

}  // namespace
}  // namespace flightrec::chunk
