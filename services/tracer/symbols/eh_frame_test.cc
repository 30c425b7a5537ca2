#include "services/tracer/symbols/eh_frame.h"

#include <cstdint>
#include <iterator>
#include <vector>

#include "gtest/gtest.h"

namespace flightrec::symbols {
namespace {

constexpr uint64_t kVaddr = 0x4000;
constexpr uint8_t kNop = 0;
constexpr uint8_t kAdvanceOne = 0x41;
constexpr uint8_t kDefCfaOffset = 0x0e;
constexpr uint8_t kUndefined = 0x07;
constexpr uint8_t kReturnAddress = 16;

// A section with one common entry ("zR", pc-relative int32; CFA = rsp + 8).
class Section {
 public:
  Section() {
    Append32(16);
    Append32(0);
    const uint8_t entry[] = {1, 'z', 'R', 0, 1, 0x78, 16, 1, 0x1b, 0x0c, 7, 8};
    bytes.insert(bytes.end(), std::begin(entry), std::end(entry));
  }

  Section& Range(uint32_t start, uint32_t size, std::vector<uint8_t> rules) {
    while (rules.size() < 7) rules.push_back(kNop);
    Append32(4 + 4 + 4 + 1 + static_cast<uint32_t>(rules.size()));
    Append32(static_cast<uint32_t>(bytes.size()));  // back to the common entry
    Append32(start - static_cast<uint32_t>(kVaddr + bytes.size()));
    Append32(size);
    bytes.push_back(0);
    bytes.insert(bytes.end(), rules.begin(), rules.end());
    return *this;
  }

  Section& End() {
    Append32(0);
    return *this;
  }

  void Append32(uint32_t value) {
    const auto* first = reinterpret_cast<const uint8_t*>(&value);
    bytes.insert(bytes.end(), first, first + sizeof(value));
  }

  std::vector<uint8_t> bytes;
};

TEST(EhFrame, two_ranges__then_sorted_by_offset) {
  Section section;
  section.Range(0x2000, 0x10, {}).Range(0x1000, 0x20, {}).End();
  const auto ranges = ReadEhFrame(section.bytes, kVaddr);
  ASSERT_EQ(ranges.size(), 2u);
  EXPECT_EQ(ranges[0].offset, 0x1000u);
  EXPECT_EQ(ranges[0].size, 0x20u);
  EXPECT_TRUE(ranges[0].starts_at_call);
  EXPECT_EQ(ranges[1].offset, 0x2000u);
}

TEST(EhFrame, frame_after_first_instruction__then_starts_at_call) {
  Section section;
  section.Range(0x1000, 0x20, {kAdvanceOne, kDefCfaOffset, 16}).End();
  const auto ranges = ReadEhFrame(section.bytes, kVaddr);
  ASSERT_EQ(ranges.size(), 1u);
  EXPECT_TRUE(ranges[0].starts_at_call);
}

TEST(EhFrame, frame_at_first_byte__then_not_at_call) {
  Section section;
  section.Range(0x1000, 0x20, {kDefCfaOffset, 48, kAdvanceOne}).End();
  const auto ranges = ReadEhFrame(section.bytes, kVaddr);
  ASSERT_EQ(ranges.size(), 1u);
  EXPECT_FALSE(ranges[0].starts_at_call);
}

TEST(EhFrame, no_return_address__then_not_at_call) {
  Section section;
  section.Range(0x1000, 0x20, {kUndefined, kReturnAddress}).End();
  const auto ranges = ReadEhFrame(section.bytes, kVaddr);
  ASSERT_EQ(ranges.size(), 1u);
  EXPECT_FALSE(ranges[0].starts_at_call);
}

TEST(EhFrame, bytes_behind_terminator__then_ignored) {
  Section section;
  section.Range(0x1000, 0x20, {}).End().Range(0x2000, 0x20, {});
  EXPECT_EQ(ReadEhFrame(section.bytes, kVaddr).size(), 1u);
}

TEST(EhFrame, cut_anywhere__then_keeps_whole_entries) {
  Section section;
  section.Range(0x1000, 0x20, {}).Range(0x2000, 0x20, {});
  for (size_t size = 0; size < section.bytes.size(); ++size) {
    const std::vector<uint8_t> cut(section.bytes.begin(),
                                   section.bytes.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_LE(ReadEhFrame(cut, kVaddr).size(), size < 44 ? 0u : 1u) << size;
  }
}

}  // namespace
}  // namespace flightrec::symbols
