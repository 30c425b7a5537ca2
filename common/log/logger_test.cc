#include "common/log/logger.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "absl/strings/match.h"

namespace flightrec::log {
namespace {

class LoggerTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(pipe(pipe_), 0); }
  void TearDown() override {
    close(pipe_[0]);
    close(pipe_[1]);
  }

  Logger MakeLogger(Level minimum) {
    return Logger("backend", minimum, pipe_[1], [] { return absl::FromUnixMillis(1767323045678); });
  }

  std::string Written() {
    char buffer[2 * kMaxLineBytes];
    const ssize_t n = read(pipe_[0], buffer, sizeof(buffer));
    return n > 0 ? std::string(buffer, static_cast<size_t>(n)) : "";
  }

  int pipe_[2];
};

TEST_F(LoggerTest, event_with_fields__is_one_logfmt_line) {
  MakeLogger(Level::kInfo)
      .Info("listening", {{"address", "127.0.0.1:7072"},
                          {"tls", false},
                          {"port", 7072},
                          {"error", absl::NotFoundError("no \"x\"")}});
  EXPECT_EQ(Written(),
            "time=2026-01-02T03:04:05.678Z level=info service=backend event=listening "
            "address=127.0.0.1:7072 tls=false port=7072 error=\"NOT_FOUND: no \\\"x\\\"\"\n");
}

TEST_F(LoggerTest, level_below_the_minimum__is_not_written) {
  Logger logger = MakeLogger(Level::kWarning);
  logger.Info("quiet");
  logger.Warning("loud");
  EXPECT_TRUE(absl::StrContains(Written(), "level=warning service=backend event=loud\n"));
}

TEST_F(LoggerTest, value_with_a_line_break__stays_on_one_line) {
  MakeLogger(Level::kInfo).Info("x", {{"text", "a\nb=c"}});
  EXPECT_TRUE(absl::StrContains(Written(), "text=\"a\\nb=c\"\n"));
}

TEST_F(LoggerTest, line_beyond_the_limit__is_cut_and_ended) {
  MakeLogger(Level::kInfo).Info("x", {{"text", std::string(2 * kMaxLineBytes, 'a')}});
  const std::string line = Written();
  EXPECT_EQ(line.size(), kMaxLineBytes);
  EXPECT_EQ(line.back(), '\n');
}

TEST(ParseLevel, unknown_word__names_it_and_the_choices) {
  EXPECT_EQ(
      ParseLevel("loud").status(),
      absl::InvalidArgumentError("unknown log level 'loud'; use debug, info, warning or error"));
}

}  // namespace
}  // namespace flightrec::log
