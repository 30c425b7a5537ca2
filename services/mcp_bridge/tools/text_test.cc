#include "services/mcp_bridge/tools/text.h"

#include <gtest/gtest.h>

namespace flightrec::mcp_bridge {
namespace {

TEST(CutUtf8, short_text__stays) { EXPECT_EQ(CutUtf8("abcde", 5), "abcde"); }

TEST(CutUtf8, long_text__ends_in_dots_within_the_limit) {
  EXPECT_EQ(CutUtf8("abcdefgh", 6), "abc...");
}

TEST(CutUtf8, character_at_the_cut__is_not_split) {
  EXPECT_EQ(CutUtf8("ab\xC3\xA4\xC3\xA4xyz", 6), "ab...");
}

TEST(HexId, small_id__has_16_digits) { EXPECT_EQ(HexId(0xabc), "0000000000000abc"); }

}  // namespace
}  // namespace flightrec::mcp_bridge
