#include <gtest/gtest.h>

#include "common/rpc/channel.h"
#include "common/rpc/file_content.h"
#include "common/rpc/server.h"
#include "common/rpc/status.h"
#include "common/rpc/testing/certificate.h"
#include "common/rpc/testing/query_echo.h"

namespace flightrec::rpc {
namespace {

class ServerTlsTest : public testing::Test {
 protected:
  static std::string Write(const std::string& name, const std::string& content) {
    const std::string path = testing::TempDir() + "/" + name;
    EXPECT_TRUE(ReplaceFile(path, content, 0600).ok());
    return path;
  }

  // Listens on every address, which only TLS with proof of identity may.
  ServerConfig Config() {
    return {.listen = "0.0.0.0:0",
            .tls_cert = Write("server.pem", server_.cert_pem()),
            .tls_key = Write("server.key", server_.key_pem()),
            .tls_client_ca = Write("ca.pem", authority_.cert_pem())};
  }

  void StartServer(const ServerConfig& config) {
    auto finalized = Finalize(config);
    ASSERT_TRUE(finalized.ok()) << finalized.status();
    running_ = std::make_unique<Server>(*finalized, "query_engine", &logger_, &registry_);
    running_->Register(&echo_, kQueryServiceName);
    ASSERT_TRUE(running_->Start().ok());
  }

  absl::Status Call(const ChannelConfig& config) {
    auto channel = MakeChannel(running_->address(), config);
    if (!channel.ok()) return channel.status();
    auto stub = query::v1::QueryService::NewStub(*channel);
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(10));
    query::v1::ListRecordingsResponse response;
    return FromGrpcStatus(stub->ListRecordings(&context, {}, &response));
  }

  const Certificate authority_ = Certificate::MakeAuthority("test authority");
  const Certificate server_ = authority_.Sign("server");
  const Certificate client_ = authority_.Sign("client");
  log::Logger logger_{"test", log::Level::kError};
  metrics::Registry registry_;
  QueryEcho echo_;
  std::unique_ptr<Server> running_;
};

TEST_F(ServerTlsTest, client_with_a_certificate__is_served) {
  StartServer(Config());
  EXPECT_TRUE(Call({.tls_ca = Write("ca.pem", authority_.cert_pem()),
                    .tls_cert = Write("client.pem", client_.cert_pem()),
                    .tls_key = Write("client.key", client_.key_pem())})
                  .ok());
}

TEST_F(ServerTlsTest, client_without_a_certificate__is_refused) {
  StartServer(Config());
  EXPECT_EQ(Call({.tls_ca = Write("ca.pem", authority_.cert_pem())}).code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(ServerTlsTest, client_with_a_foreign_certificate__is_refused) {
  StartServer(Config());
  const Certificate foreign = Certificate::MakeAuthority("other").Sign("client");
  EXPECT_EQ(Call({.tls_ca = Write("ca.pem", authority_.cert_pem()),
                  .tls_cert = Write("foreign.pem", foreign.cert_pem()),
                  .tls_key = Write("foreign.key", foreign.key_pem())})
                .code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(ServerTlsTest, plain_client__is_refused) {
  StartServer(Config());
  EXPECT_EQ(Call({}).code(), absl::StatusCode::kUnavailable);
}

TEST_F(ServerTlsTest, server_of_another_authority__is_not_trusted) {
  StartServer(Config());
  const Certificate other = Certificate::MakeAuthority("other");
  EXPECT_EQ(Call({.tls_ca = Write("other.pem", other.cert_pem())}).code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(ServerTlsTest, tokens_over_tls__decide) {
  ServerConfig config = Config();
  config.tls_client_ca.clear();
  config.token_file = Write("tokens", "reader-0123456789 read\n");
  StartServer(config);
  const std::string ca = Write("ca.pem", authority_.cert_pem());
  EXPECT_TRUE(Call({.tls_ca = ca, .token_file = Write("token", "reader-0123456789 read\n")}).ok());
  EXPECT_EQ(Call({.tls_ca = ca, .token = "wrong"}).code(), absl::StatusCode::kUnauthenticated);
}

}  // namespace
}  // namespace flightrec::rpc
