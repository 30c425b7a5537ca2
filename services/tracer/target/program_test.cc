#include "services/tracer/target/program.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "absl/status/status.h"

namespace flightrec::target {
namespace {

std::string WriteFile(const std::string& name, const std::string& text, mode_t mode) {
  const std::string path = testing::TempDir() + "/" + name;
  std::ofstream(path) << text;
  chmod(path.c_str(), mode);
  return path;
}

TEST(ResolveProgram, name_without_slash__then_first_match_in_path) {
  const auto path = ResolveProgram("true", "", {"PATH=/nonexistent:/bin"});
  ASSERT_TRUE(path.ok()) << path.status();
  EXPECT_EQ(*path, "/bin/true");
}

TEST(ResolveProgram, relative_path__then_from_the_working_directory) {
  const auto path = ResolveProgram("./true", "/bin", {});
  ASSERT_TRUE(path.ok()) << path.status();
  EXPECT_EQ(*path, "/bin/./true");
}

TEST(ResolveProgram, unknown_names__then_not_found) {
  EXPECT_EQ(ResolveProgram("no-such-program", "", {"PATH=/bin"}).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(ResolveProgram("/no/such", "", {}).status().code(), absl::StatusCode::kNotFound);
}

TEST(ResolveProgram, script__then_invalid_argument_with_the_command_to_use) {
  const std::string path = WriteFile("script", "#! /bin/sh -e\necho\n", 0755);
  const absl::Status status = ResolveProgram(path, "", {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("flightrec run -- /bin/sh -e " + path), std::string::npos)
      << status;
}

TEST(ResolveProgram, not_executable__then_permission_denied) {
  const std::string path = WriteFile("plain", "text", 0644);
  EXPECT_EQ(ResolveProgram(path, "", {}).status().code(), absl::StatusCode::kPermissionDenied);
}

TEST(ResolveProgram, folder_or_nothing__then_invalid_argument) {
  EXPECT_EQ(ResolveProgram("/bin/", "", {}).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ResolveProgram("", "", {}).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace flightrec::target
