#include "services/tracer/pattern/suggestions.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace flightrec::pattern {
namespace {

TEST(EditDistance, few_edits__then_counted) {
  EXPECT_EQ(EditDistance("parse", "parse", 5), 0u);
  EXPECT_EQ(EditDistance("parse", "prase", 5), 2u);
  EXPECT_EQ(EditDistance("parse", "sparse", 5), 1u);
}

TEST(EditDistance, beyond_limit__then_limit) {
  EXPECT_EQ(EditDistance("abcdefgh", "12345678", 3), 3u);
  EXPECT_EQ(EditDistance("a", "abcdefgh", 3), 3u);
}

TEST(Suggestions, typing_error__then_closest_first) {
  Suggestions suggestions("handel_request", 5);
  for (const char* name : {"main", "handle_reply", "handle_request", "ns::handle_request"}) {
    suggestions.Consider(name);
  }
  EXPECT_EQ(suggestions.Best(), (std::vector<std::string>{"handle_request", "ns::handle_request"}));
}

TEST(Suggestions, part_of_a_name_in_other_case__then_found) {
  Suggestions suggestions("*parse", 5);
  suggestions.Consider("json::Parser::Next");
  suggestions.Consider("write");
  EXPECT_EQ(suggestions.Best(), std::vector<std::string>{"json::Parser::Next"});
}

TEST(Suggestions, more_than_the_limit__then_best_are_kept) {
  Suggestions suggestions("foo", 2);
  for (const char* name : {"fooooooo", "foo1", "foo2", "foo2"}) suggestions.Consider(name);
  EXPECT_EQ(suggestions.Best(), (std::vector<std::string>{"foo1", "foo2"}));
}

}  // namespace
}  // namespace flightrec::pattern
