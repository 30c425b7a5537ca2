#include "common/rpc/token_file.h"

#include <gtest/gtest.h>

namespace flightrec::rpc {
namespace {

TEST(ParseTokens, lines_with_roles_and_tenant__are_read) {
  const auto tokens = ParseTokens(
      "# people\n"
      "0123456789abcdef read,write\r\n"
      "\n"
      "fedcba9876543210\tadmin  team-a\n",
      "t");
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  ASSERT_EQ(tokens->size(), 2u);
  EXPECT_EQ((*tokens)[0].token, "0123456789abcdef");
  EXPECT_TRUE((*tokens)[0].roles.Has(Role::kWrite));
  EXPECT_FALSE((*tokens)[0].roles.Has(Role::kControl));
  EXPECT_TRUE((*tokens)[1].roles.Has(Role::kControl));
  EXPECT_EQ((*tokens)[1].tenant, "team-a");
}

TEST(ParseTokens, unknown_role__names_line_and_role_and_not_the_token) {
  EXPECT_EQ(ParseTokens("\n0123456789abcdef reed\n", "tokens.txt").status(),
            absl::InvalidArgumentError("tokens.txt line 2: unknown role 'reed'; roles are read, "
                                       "write, control, admin"));
}

TEST(ParseTokens, short_token__is_refused) {
  const absl::Status status = ParseTokens("secret read\n", "t").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message().find("secret"), absl::string_view::npos);
}

TEST(ParseTokens, no_token_at_all__is_refused) {
  EXPECT_EQ(ParseTokens("# none\n", "t").status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace flightrec::rpc
