#include "common/metrics/http_server.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace flightrec::metrics {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using Request = http::request<http::empty_body>;
using Response = http::response<http::string_body>;

Response Answer(const Request& request, const Registry& registry) {
  Response response;
  response.version(request.version());
  response.keep_alive(false);
  response.set(http::field::content_type, "text/plain; charset=utf-8");
  if (request.method() != http::verb::get) {
    response.result(http::status::method_not_allowed);
    response.set(http::field::allow, "GET");
    response.body() = "only GET; try /metrics or /healthz\n";
  } else if (request.target() == "/metrics") {
    response.set(http::field::content_type, "text/plain; version=0.0.4; charset=utf-8");
    response.body() = registry.Exposition();
  } else if (request.target() == "/healthz") {
    response.body() = "ok\n";
  } else {
    response.result(http::status::not_found);
    response.body() = "not here; try /metrics or /healthz\n";
  }
  response.prepare_payload();
  return response;
}

// One request and its answer. Kept alive by the handlers it waits for.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, const Registry* registry, int* open)
      : stream_(std::move(socket)), registry_(registry), open_(open) {
    ++*open_;
  }
  ~Connection() { --*open_; }

  void Run() {
    stream_.expires_after(absl::ToChronoMilliseconds(kRequestTimeout));
    parser_.header_limit(kMaxRequestBytes);
    parser_.body_limit(0);
    http::async_read(stream_, buffer_, parser_,
                     [self = shared_from_this()](beast::error_code error, size_t /*bytes*/) {
                       if (!error) self->Reply();
                     });
  }

 private:
  void Reply() {
    response_ = Answer(parser_.get(), *registry_);
    http::async_write(stream_, response_,
                      [self = shared_from_this()](beast::error_code /*error*/, size_t /*bytes*/) {
                        beast::error_code ignored;
                        self->stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
                      });
  }

  beast::tcp_stream stream_;
  beast::flat_buffer buffer_;
  http::request_parser<http::empty_body> parser_;
  Response response_;
  const Registry* const registry_;
  // Counts connections; only touched on the server's thread.
  int* const open_;
};

}  // namespace

class HttpServer::Impl {
 public:
  explicit Impl(const Registry* registry) : registry_(registry) {}

  ~Impl() {
    io_.stop();
    if (thread_.joinable()) thread_.join();
  }

  absl::Status Listen(const std::string& host, int port) {
    beast::error_code error;
    const auto address = asio::ip::make_address(host, error);
    if (error) {
      return absl::InvalidArgumentError(
          absl::StrCat("metrics address '", host, "' is not numeric"));
    }
    const tcp::endpoint endpoint(address, static_cast<uint16_t>(port));
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(kMaxConnections, error);
    if (error) {
      return absl::UnavailableError(absl::StrCat("cannot serve metrics on ", host, ":", port, ": ",
                                                 error.message(),
                                                 "; choose another --metrics_listen, or off"));
    }
    port_ = acceptor_.local_endpoint(error).port();
    Accept();
    thread_ = std::thread([this] { io_.run(); });
    return absl::OkStatus();
  }

  int port() const { return port_; }

 private:
  void Accept() {
    acceptor_.async_accept([this](beast::error_code error, tcp::socket socket) {
      if (error == asio::error::operation_aborted) return;
      // Beyond the limit the socket is closed as it goes out of scope.
      if (!error && open_ < kMaxConnections) {
        std::make_shared<Connection>(std::move(socket), registry_, &open_)->Run();
      }
      Accept();
    });
  }

  const Registry* const registry_;
  // Outlives io_, whose destructor ends the connections that count here.
  int open_ = 0;
  asio::io_context io_{1};
  tcp::acceptor acceptor_{io_};
  int port_ = 0;
  std::thread thread_;
};

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& host, int port,
                                                              const Registry* registry) {
  auto impl = std::make_unique<Impl>(registry);
  if (absl::Status s = impl->Listen(host, port); !s.ok()) return s;
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HttpServer::~HttpServer() = default;

int HttpServer::port() const { return impl_->port(); }

}  // namespace flightrec::metrics
