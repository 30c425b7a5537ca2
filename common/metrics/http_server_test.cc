#include "common/metrics/http_server.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <list>
#include <string>

namespace flightrec::metrics {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

class Client {
 public:
  explicit Client(int port) : socket_(io_) {
    socket_.connect({asio::ip::make_address("127.0.0.1"), static_cast<uint16_t>(port)});
  }

  void Send(const std::string& text) { asio::write(socket_, asio::buffer(text)); }

  std::string ReadToEnd() {
    std::string text;
    boost::system::error_code error;
    asio::read(socket_, asio::dynamic_buffer(text), error);
    return text;
  }

 private:
  asio::io_context io_;
  tcp::socket socket_;
};

class HttpServerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto started = HttpServer::Start("127.0.0.1", 0, &registry_);
    ASSERT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
  }

  std::string Get(const std::string& target) {
    Client client(server_->port());
    client.Send("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n");
    return client.ReadToEnd();
  }

  Registry registry_;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, metrics__answers_the_exposition) {
  registry_.AddCounter("x_total", "X.").Add(2);
  const std::string answer = Get("/metrics");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << answer;
  EXPECT_NE(answer.find("text/plain; version=0.0.4"), std::string::npos);
  EXPECT_TRUE(answer.ends_with("\r\n\r\n# HELP x_total X.\n# TYPE x_total counter\nx_total 2\n"));
}

TEST_F(HttpServerTest, healthz__answers_ok) { EXPECT_TRUE(Get("/healthz").ends_with("ok\n")); }

TEST_F(HttpServerTest, unknown_target__answers_404_and_says_what_there_is) {
  const std::string answer = Get("/x");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 404 ")) << answer;
  EXPECT_TRUE(answer.ends_with("not here; try /metrics or /healthz\n"));
}

TEST_F(HttpServerTest, request_with_a_body__is_refused_without_an_answer) {
  Client client(server_->port());
  client.Send("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n123456789");
  EXPECT_EQ(client.ReadToEnd(), "");
}

TEST_F(HttpServerTest, connections_beyond_the_limit__are_closed_and_later_ones_served) {
  std::list<Client> idle;
  for (int i = 0; i < kMaxConnections; ++i) idle.emplace_back(server_->port());
  Client refused(server_->port());
  EXPECT_EQ(refused.ReadToEnd(), "");
  for (Client& client : idle) client.Send("GET /healthz HTTP/1.0\r\n\r\n");
  for (Client& client : idle) EXPECT_TRUE(client.ReadToEnd().ends_with("ok\n"));
}

TEST_F(HttpServerTest, taken_port__is_unavailable_and_named) {
  auto second = HttpServer::Start("127.0.0.1", server_->port(), &registry_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(second.status().message().find(std::to_string(server_->port())),
            absl::string_view::npos);
}

}  // namespace
}  // namespace flightrec::metrics
