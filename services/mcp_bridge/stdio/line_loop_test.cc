#include "services/mcp_bridge/stdio/line_loop.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <string>
#include <thread>

#include "services/mcp_bridge/protocol/session.h"
#include "services/mcp_bridge/testing/fake_query_engine.h"

namespace flightrec::mcp_bridge {
namespace {

constexpr char kPing[] = R"({"jsonrpc":"2.0","id":1,"method":"ping"})";
constexpr char kPong[] = R"({"jsonrpc":"2.0","id":1,"result":{}})";

class LineLoopTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(pipe(in_), 0);
    ASSERT_EQ(pipe(out_), 0);
  }

  // What the loop writes when it reads `input` and then the end.
  std::string Answers(const std::string& input) {
    std::thread writer([this, &input] {
      size_t written = 0;
      while (written < input.size()) {
        const ssize_t n = write(in_[1], input.data() + written, input.size() - written);
        if (n <= 0) break;
        written += static_cast<size_t>(n);
      }
      close(in_[1]);
    });
    EXPECT_TRUE(RunLineLoop(catalog_, in_[0], out_[1]).ok());
    writer.join();
    close(out_[1]);
    std::string text;
    char buffer[4096];
    for (ssize_t n; (n = read(out_[0], buffer, sizeof(buffer))) > 0;) {
      text.append(buffer, static_cast<size_t>(n));
    }
    return text;
  }

  FakeQueryEngine engine_;
  log::Logger logger_{"test", log::Level::kError};
  metrics::Registry registry_;
  Catalog catalog_{&engine_, &logger_, &registry_};
  int in_[2];
  int out_[2];
};

TEST_F(LineLoopTest, lines_of_both_kinds_and_a_last_one_without_end__are_answered) {
  const std::string ping = kPing;
  const std::string pong = std::string(kPong) + "\n";
  EXPECT_EQ(Answers(ping + "\r\n\n" + ping + "\n" + ping), pong + pong + pong);
}

TEST_F(LineLoopTest, line_beyond_the_limit__is_refused_and_the_next_one_answered) {
  const std::string text = Answers(std::string(3 * kMaxMessageBytes, 'x') + "\n" + kPing + "\n");
  EXPECT_NE(text.find("\"code\":-32600"), std::string::npos);
  EXPECT_TRUE(text.ends_with(std::string(kPong) + "\n"));
}

TEST_F(LineLoopTest, output_closed__is_unavailable) {
  signal(SIGPIPE, SIG_IGN);
  close(out_[0]);
  const std::string input = std::string(kPing) + "\n";
  ASSERT_EQ(write(in_[1], input.data(), input.size()), static_cast<ssize_t>(input.size()));
  close(in_[1]);
  EXPECT_EQ(RunLineLoop(catalog_, in_[0], out_[1]).code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace flightrec::mcp_bridge
