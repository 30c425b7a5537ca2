#include "services/tracer/pattern/glob.h"

#include <string>

#include "gtest/gtest.h"

namespace flightrec::pattern {
namespace {

TEST(Glob, no_wildcard__then_whole_text_must_be_equal) {
  EXPECT_TRUE(GlobMatches("main", "main"));
  EXPECT_FALSE(GlobMatches("main", "main2"));
  EXPECT_FALSE(GlobMatches("main", "mai"));
}

TEST(Glob, star__then_any_characters) {
  EXPECT_TRUE(GlobMatches("*", ""));
  EXPECT_TRUE(GlobMatches("ns::*", "ns::a::b"));
  EXPECT_TRUE(GlobMatches("*b*d", "abcbd"));
  EXPECT_FALSE(GlobMatches("*b*d", "abcde"));
}

TEST(Glob, question_mark__then_exactly_one_character) {
  EXPECT_TRUE(GlobMatches("f?o", "foo"));
  EXPECT_FALSE(GlobMatches("f?o", "fo"));
}

TEST(Glob, many_stars_on_long_text__then_still_quick) {
  EXPECT_FALSE(GlobMatches("*a*a*a*a*a*a*a*a*b", std::string(20000, 'a')));
}

}  // namespace
}  // namespace flightrec::pattern
