#include "common/rpc/control_token.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>

namespace flightrec::rpc {
namespace {

std::string Path(const char* name) { return testing::TempDir() + "/" + name; }

TEST(ControlToken, created__is_readable_by_its_owner_only) {
  const std::string path = Path("created");
  const auto token = CreateControlToken(path);
  ASSERT_TRUE(token.ok()) << token.status();
  EXPECT_EQ(token->size(), kControlTokenChars);
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(*ReadControlToken(path), *token);
}

TEST(ControlToken, created_again__is_another_one) {
  const std::string path = Path("again");
  EXPECT_NE(*CreateControlToken(path), *CreateControlToken(path));
}

TEST(ControlToken, file_others_can_read__is_refused) {
  const std::string path = Path("open");
  ASSERT_TRUE(CreateControlToken(path).ok());
  ASSERT_EQ(chmod(path.c_str(), 0644), 0);
  const absl::Status status = ReadControlToken(path).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_NE(status.message().find("chmod 600"), absl::string_view::npos);
}

TEST(ControlToken, no_file__is_not_found) {
  EXPECT_EQ(ReadControlToken(Path("absent")).status().code(), absl::StatusCode::kNotFound);
}

TEST(TokensEqual, other_length_or_content__differs) {
  EXPECT_TRUE(TokensEqual("abc", "abc"));
  EXPECT_FALSE(TokensEqual("abc", "abd"));
  EXPECT_FALSE(TokensEqual("abc", "ab"));
  EXPECT_FALSE(TokensEqual("", "a"));
}

}  // namespace
}  // namespace flightrec::rpc
