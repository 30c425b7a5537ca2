#include "common/private_directory/private_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace flightrec {
namespace {

using ::testing::HasSubstr;

constexpr mode_t kOpen = 0755;

std::string Fresh(const std::string& name) {
  const std::string path = ::testing::TempDir() + "/private_directory_test/" + name;
  std::filesystem::remove_all(path);
  return path;
}

mode_t ModeOf(const std::string& path) {
  struct stat found {};
  EXPECT_EQ(stat(path.c_str(), &found), 0);
  return found.st_mode & 0777;
}

std::string OpenDirectoryWith(const std::string& name, const std::string& file) {
  const std::string path = Fresh(name);
  std::filesystem::create_directories(path);
  std::ofstream(path + "/" + file) << "x";
  EXPECT_EQ(chmod(path.c_str(), kOpen), 0);
  return path;
}

TEST(PrivateDirectory, missing__then_is_made_for_its_owner_alone) {
  const std::string path = Fresh("missing") + "/below";
  ASSERT_TRUE(MakePrivateDirectory(path, "--store", "").ok());
  EXPECT_EQ(ModeOf(path), 0700u);
}

TEST(PrivateDirectory, open_to_others_with_other_files__then_is_refused_and_left_as_it_is) {
  const std::string path = OpenDirectoryWith("foreign", "letter");
  const absl::Status made = MakePrivateDirectory(path, "--store", "CURRENT");
  EXPECT_EQ(made.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(made.message()),
              HasSubstr("--store=" + path + " is a directory of other files"));
  EXPECT_EQ(ModeOf(path), kOpen);
}

TEST(PrivateDirectory, open_to_others_but_ours__then_is_closed) {
  const std::string path = OpenDirectoryWith("ours", "CURRENT");
  ASSERT_TRUE(MakePrivateDirectory(path, "--store", "CURRENT").ok());
  EXPECT_EQ(ModeOf(path), 0700u);
}

TEST(PrivateDirectory, a_file__then_failed_precondition_names_it) {
  const std::string path = OpenDirectoryWith("file", "letter") + "/letter";
  const absl::Status made = MakePrivateDirectory(path, "--state_dir", "");
  EXPECT_EQ(made.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(made.message()), HasSubstr("--state_dir=" + path));
}

}  // namespace
}  // namespace flightrec
