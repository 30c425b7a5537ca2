#include "common/rpc/endpoint_file.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/rpc/file_content.h"

namespace flightrec::rpc {
namespace {

class EndpointFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/endpointXXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }

  Endpoints Example() {
    return {.backend = "127.0.0.1:7072",
            .query = "127.0.0.1:7073",
            .tracer = "",
            .mcp = "",
            .control_token_file = "/run/token",
            .started = absl::FromUnixNanos(1767323045678000001)};
  }

  std::string directory_;
};

TEST_F(EndpointFileTest, written_by_a_living_process__is_read_back) {
  ASSERT_TRUE(WriteEndpointFile(directory_, Example()).ok());
  const auto read = ReadEndpointFile(directory_);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->backend, "127.0.0.1:7072");
  EXPECT_EQ(read->query, "127.0.0.1:7073");
  EXPECT_EQ(read->control_token_file, "/run/token");
  EXPECT_EQ(read->started, Example().started);
  EXPECT_EQ(read->pid, getpid());
}

TEST_F(EndpointFileTest, no_file__is_not_found) {
  EXPECT_EQ(ReadEndpointFile(directory_).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(EndpointFileTest, writer_has_gone__is_not_found_and_names_its_pid) {
  const pid_t child = fork();
  if (child == 0) {
    _exit(WriteEndpointFile(directory_, Example()).ok() ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  EXPECT_EQ(ReadEndpointFile(directory_).status(),
            absl::NotFoundError(directory_ + "/endpoints.json was left by pid " +
                                std::to_string(child) + ", which has gone"));
}

TEST_F(EndpointFileTest, torn_file__is_data_loss) {
  ASSERT_TRUE(ReplaceFile(directory_ + "/endpoints.json", "{\"version\":", 0600).ok());
  EXPECT_EQ(ReadEndpointFile(directory_).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(EndpointFileTest, removed_by_its_writer__is_gone) {
  ASSERT_TRUE(WriteEndpointFile(directory_, Example()).ok());
  EXPECT_TRUE(RemoveEndpointFile(directory_).ok());
  EXPECT_TRUE(RemoveEndpointFile(directory_).ok());
  EXPECT_EQ(ReadEndpointFile(directory_).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace flightrec::rpc
