#include "services/tracer/symbols/punycode.h"

#include <random>
#include <string>

#include "gtest/gtest.h"

namespace flightrec::symbols {
namespace {

TEST(Punycode, names_of_several_scripts__then_utf8) {
  EXPECT_EQ(DecodePunycode("gdel_5qa").value_or(""), "gödel");
  EXPECT_EQ(DecodePunycode("mnchen_3ya").value_or(""), "münchen");
  EXPECT_EQ(DecodePunycode("bcher_kva").value_or(""), "bücher");
  EXPECT_EQ(DecodePunycode("wgv71a119e").value_or(""), "日本語");
}

TEST(Punycode, damaged__then_none) {
  for (const char* text : {"a_!", "99999999", "a_9", "_Z"}) {
    EXPECT_FALSE(DecodePunycode(text).has_value()) << text;
  }
  EXPECT_FALSE(DecodePunycode(std::string(kMaxPunycode + 1, 'a')).has_value());
}

TEST(Punycode, any_text__then_ends) {
  std::mt19937 random(3);
  for (int round = 0; round < 20000; ++round) {
    std::string text(1 + random() % 30, 'a');
    for (char& c : text) c = "abcxyz0189_"[random() % 11];
    DecodePunycode(text);
  }
}

TEST(AppendUtf8, not_a_code_point__then_false) {
  std::string text;
  EXPECT_FALSE(AppendUtf8(0xd800, text));
  EXPECT_FALSE(AppendUtf8(0x110000, text));
  EXPECT_TRUE(AppendUtf8(0x20ac, text));
  EXPECT_EQ(text, "\u20ac");
}

}  // namespace
}  // namespace flightrec::symbols
