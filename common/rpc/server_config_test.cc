#include "common/rpc/server_config.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "common/rpc/file_content.h"

namespace flightrec::rpc {
namespace {

std::string Write(const std::string& name, const std::string& content) {
  const std::string path = testing::TempDir() + "/" + name;
  EXPECT_TRUE(ReplaceFile(path, content, 0600).ok());
  return path;
}

void ExpectRefused(const ServerConfig& config, absl::string_view text) {
  const absl::Status status = Finalize(config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), text)) << status;
}

TEST(ServerConfig, loopback_without_auth__is_accepted) {
  for (const char* listen : {"127.0.0.1:7073", "localhost:0", "[::1]:1", "unix:/run/x.sock"}) {
    EXPECT_TRUE(Finalize({.listen = listen}).ok()) << listen;
  }
  EXPECT_EQ(Finalize({.listen = "localhost:80"})->config().listen, "127.0.0.1:80");
}

TEST(ServerConfig, beyond_loopback_without_auth__is_refused_with_the_way_out) {
  for (const char* listen : {"0.0.0.0:7073", "[::]:7073", "10.1.2.3:7073"}) {
    ExpectRefused({.listen = listen}, "has no authentication; give --tls_cert and --tls_key");
  }
}

TEST(ServerConfig, beyond_loopback_with_tokens_in_the_clear__is_refused) {
  ExpectRefused({.listen = "0.0.0.0:1", .token_file = Write("t1", "0123456789abcdef read\n")},
                "has no encryption");
}

TEST(ServerConfig, beyond_loopback_with_tls_alone__is_refused) {
  ExpectRefused({.listen = "0.0.0.0:1", .tls_cert = "c", .tls_key = "k"}, "no authentication");
}

TEST(ServerConfig, beyond_loopback_with_tls_and_tokens__is_accepted) {
  const auto config = Finalize({.listen = "0.0.0.0:1",
                                .tls_cert = Write("cert", "CERT"),
                                .tls_key = Write("key", "KEY"),
                                .token_file = Write("t2", "0123456789abcdef read\n")});
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->tls().key_pem, "KEY");
  EXPECT_EQ(config->tokens().size(), 1u);
}

TEST(ServerConfig, half_of_a_pair__is_refused) {
  ExpectRefused({.tls_cert = "c"}, "go together");
  ExpectRefused({.tls_client_ca = "ca"}, "needs TLS");
}

TEST(ServerConfig, malformed_address__names_flag_and_value) {
  ExpectRefused({.listen = "7073"}, "--listen=7073: no port");
  ExpectRefused({.listen = "127.0.0.1:70000"}, "--listen=127.0.0.1:70000: the port is not");
  ExpectRefused({.listen = "example.org:1"}, "'example.org' is not a numeric address");
  ExpectRefused({.listen = "unix:x.sock"}, "the socket path is not absolute");
  ExpectRefused({.metrics_listen = "x"}, "--metrics_listen=x");
}

TEST(ServerConfig, metrics_beyond_loopback__must_be_asked_for) {
  ExpectRefused({.metrics_listen = "0.0.0.0:8073"}, "--metrics_allow_remote");
  EXPECT_TRUE(Finalize({.metrics_listen = "0.0.0.0:8073", .metrics_allow_remote = true}).ok());
}

TEST(ServerConfig, limit_out_of_range__names_flag_and_range) {
  ExpectRefused({.max_message_bytes = 1}, "--max_message_bytes=1 is outside 65536..67108864");
}

TEST(ServerConfig, absent_certificate__is_not_found_and_named) {
  const absl::Status status = Finalize({.tls_cert = "/no/cert", .tls_key = "/no/key"}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(status.message(), "/no/cert"));
}

}  // namespace
}  // namespace flightrec::rpc
