#include "services/backend/store/record_log.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/chunk/crc32c.h"

namespace flightrec::backend {
namespace {

constexpr size_t kHeader = 7;
constexpr size_t kBlock = 32768;

// As RocksDB writes it: checksum, length, type.
std::string Fragment(char type, const std::string& payload) {
  const uint32_t crc = chunk::Crc32c(std::string(1, type) + payload);
  const uint32_t masked = ((crc >> 15) | (crc << 17)) + 0xa282ead8;
  std::string fragment(kHeader, '\0');
  const auto length = static_cast<uint16_t>(payload.size());
  std::memcpy(fragment.data(), &masked, sizeof(masked));
  std::memcpy(fragment.data() + 4, &length, sizeof(length));
  fragment[6] = type;
  return fragment + payload;
}
std::string Full(const std::string& payload) { return Fragment(1, payload); }
// Of a record that fills the first block and ends in the next.
std::string Long() { return Fragment(2, std::string(kBlock - kHeader, 'a')) + Fragment(4, "end"); }

std::optional<LogDamage> DamageOf(const std::string& bytes) {
  const std::string file = ::testing::TempDir() + "/000001.log";
  std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
  return FindLogDamage(file).value();
}

TEST(RecordLog, whole_records__then_no_damage) {
  EXPECT_FALSE(DamageOf("").has_value());
  EXPECT_FALSE(DamageOf(Full("a") + Full("")).has_value());
  EXPECT_FALSE(DamageOf(Long() + Full("b")).has_value());
  EXPECT_FALSE(DamageOf(Full("a") + std::string(100, '\0')).has_value());
}

TEST(RecordLog, last_record_is_cut__then_it_may_be_an_interrupted_write) {
  const std::string first = Full("first");
  for (size_t cut : {size_t{1}, size_t{3}, kHeader, kHeader + 2}) {
    const auto damage = DamageOf(first + Full("second").substr(0, cut));
    ASSERT_TRUE(damage.has_value()) << cut;
    EXPECT_EQ(damage->offset, first.size());
    EXPECT_TRUE(damage->may_be_interrupted_write) << damage->problem;
  }
  EXPECT_TRUE(DamageOf(Long().substr(0, kBlock))->may_be_interrupted_write);
}

TEST(RecordLog, a_record_follows_the_damage__then_it_is_no_interrupted_write) {
  const std::string first = Full("first");
  for (size_t at : {size_t{0}, size_t{4}, size_t{5}, size_t{6}, kHeader + 1}) {
    std::string damaged = Full("second");
    damaged[at] ^= 0x41;
    const auto damage = DamageOf(first + damaged + Full("third"));
    ASSERT_TRUE(damage.has_value()) << at;
    EXPECT_EQ(damage->offset, first.size());
    EXPECT_FALSE(damage->may_be_interrupted_write) << at << " " << damage->problem;
  }
  std::string damaged = Long();
  damaged[100] ^= 1;
  EXPECT_FALSE(DamageOf(damaged + Full("next"))->may_be_interrupted_write);
  EXPECT_TRUE(DamageOf(damaged)->may_be_interrupted_write);
}

TEST(RecordLog, length_of_the_last_record_is_altered__then_it_is_not_taken_for_a_cut) {
  std::string last = Full("second");
  last[5] ^= 1;
  const auto damage = DamageOf(Full("first") + last);
  ASSERT_TRUE(damage.has_value());
  EXPECT_FALSE(damage->may_be_interrupted_write);
}

}  // namespace
}  // namespace flightrec::backend
