#include "common/rpc/server.h"

#include <gtest/gtest.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/rpc/channel.h"
#include "common/rpc/file_content.h"
#include "common/rpc/status.h"
#include "common/rpc/testing/query_echo.h"
#include "common/rpc/testing/raw_call.h"

namespace flightrec::rpc {
namespace {

constexpr char kTokens[] =
    "reader-0123456789 read\n"
    "writer-0123456789 write team-a\n";
constexpr char kHealthCheck[] = "/grpc.health.v1.Health/Check";
// HealthCheckResponse{status: SERVING} and {status: NOT_SERVING}.
constexpr char kServing[] = "\x08\x01";
constexpr char kNotServing[] = "\x08\x02";

// HealthCheckRequest{service: name}.
std::string HealthRequest(const std::string& name) {
  return std::string("\x0a") + static_cast<char>(name.size()) + name;
}

class ServerTest : public testing::Test {
 protected:
  void StartServer(ServerConfig config) {
    auto finalized = Finalize(config);
    ASSERT_TRUE(finalized.ok()) << finalized.status();
    server_ = std::make_unique<Server>(*finalized, "query_engine", &logger_, &registry_);
    server_->Register(&echo_, kQueryServiceName);
    ASSERT_TRUE(server_->Start().ok());
  }

  std::string TokenFile() {
    const std::string path = testing::TempDir() + "/tokens";
    EXPECT_TRUE(ReplaceFile(path, kTokens, 0600).ok());
    return path;
  }

  std::shared_ptr<grpc::Channel> Channel(const std::string& token = "") {
    return *MakeChannel(server_->address(), {.token = token});
  }

  absl::Status Call(const std::string& token, const std::string& page_token = "x") {
    auto stub = query::v1::QueryService::NewStub(Channel(token));
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(10));
    query::v1::ListRecordingsRequest request;
    request.set_page_token(page_token);
    query::v1::ListRecordingsResponse response;
    return FromGrpcStatus(stub->ListRecordings(&context, request, &response));
  }

  absl::Status Stream(const std::string& token) {
    auto stub = query::v1::QueryService::NewStub(Channel(token));
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(10));
    auto reader = stub->Sql(&context, {});
    query::v1::SqlResponse response;
    while (reader->Read(&response)) {
    }
    return FromGrpcStatus(reader->Finish());
  }

  log::Logger logger_{"test", log::Level::kError};
  metrics::Registry registry_;
  QueryEcho echo_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, open_loopback_server__answers_without_a_token) {
  StartServer({});
  EXPECT_TRUE(Call("").ok());
  EXPECT_TRUE(Stream("").ok());
  EXPECT_NE(server_->port(), 0);
}

TEST_F(ServerTest, health__is_told_per_service_and_dependency) {
  StartServer({});
  server_->SetServing("dependency/backend", false);
  const auto channel = Channel();
  EXPECT_EQ(RawCall(channel, kHealthCheck, HealthRequest("")).bytes, kServing);
  EXPECT_EQ(RawCall(channel, kHealthCheck, HealthRequest(kQueryServiceName)).bytes, kServing);
  EXPECT_EQ(RawCall(channel, kHealthCheck, HealthRequest("dependency/backend")).bytes, kNotServing);
  EXPECT_EQ(RawCall(channel, kHealthCheck, HealthRequest("no.such")).status.error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(ServerTest, watched_dependency__is_reported_as_it_comes_and_goes) {
  StartServer({});
  Server front(*Finalize({}), "front", &logger_, &registry_);
  const auto peer = Channel();
  front.WatchDependency("query_engine", peer);
  ASSERT_TRUE(front.Start().ok());
  const auto channel = *MakeChannel(front.address(), {});
  const auto health = [&] {
    return RawCall(channel, kHealthCheck, HealthRequest("dependency/query_engine")).bytes;
  };
  ASSERT_TRUE(WaitForConnection(*peer, "peer", absl::Seconds(10)).ok());
  while (health() != kServing) std::this_thread::yield();
  server_->Drain();
  while (health() != kNotServing) std::this_thread::yield();
  EXPECT_EQ(RawCall(channel, kHealthCheck, HealthRequest("")).bytes, kServing);
}

TEST_F(ServerTest, reflection_and_channelz__are_there) {
  StartServer({});
  // ServerReflectionRequest{list_services: "*"}.
  const RawAnswer reflection = RawCall(
      Channel(), "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "\x3a\x01*");
  EXPECT_TRUE(absl::StrContains(reflection.bytes, kQueryServiceName));
  // ServerReflectionRequest{file_containing_symbol: "grpc.health.v1.Health"}.
  const RawAnswer health =
      RawCall(Channel(), "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
              "\x22\x15grpc.health.v1.Health");
  EXPECT_TRUE(absl::StrContains(health.bytes, "HealthCheckRequest"));
  EXPECT_TRUE(RawCall(Channel(), "/grpc.channelz.v1.Channelz/GetServers", "").status.ok());
}

TEST_F(ServerTest, tokens__decide_on_unary_streaming_health_and_reflection) {
  StartServer({.token_file = TokenFile()});
  EXPECT_TRUE(Call("reader-0123456789").ok());
  EXPECT_TRUE(Stream("reader-0123456789").ok());
  EXPECT_EQ(Call("").code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(Stream("").code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(Stream("reader-9876543210").code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(Call("writer-0123456789").code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(RawCall(Channel(), kHealthCheck, "").status.error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(RawCall(Channel("writer-0123456789"), kHealthCheck, "").bytes, kServing);
  EXPECT_EQ(RawCall(Channel(), "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                    "\x3a\x01*")
                .status.error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_TRUE(absl::StrContains(registry_.Exposition(),
                                "flightrec_rpc_refused_total{code=\"UNAUTHENTICATED\"} 5\n"));
}

TEST_F(ServerTest, taken_port__is_unavailable_and_named) {
  StartServer({});
  auto config = Finalize({.listen = server_->address()});
  Server second(*config, "second", &logger_, &registry_);
  QueryEcho echo;
  second.Register(&echo, kQueryServiceName);
  const absl::Status status = second.Start();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(absl::StrContains(status.message(), server_->address()));
}

TEST_F(ServerTest, unix_socket__is_for_its_owner_only) {
  // The test's own directory is too long a path for a socket.
  std::string directory = absl::StrCat(P_tmpdir, "/socketXXXXXX");
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  const std::string path = directory + "/s.sock";
  StartServer({.listen = "unix:" + path});
  EXPECT_TRUE(Call("").ok());
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  server_->Drain();
  unlink(path.c_str());
  rmdir(directory.c_str());
}

TEST_F(ServerTest, drain__lets_a_running_call_finish_and_refuses_new_ones) {
  StartServer({});
  absl::Status held;
  std::thread caller([&] { held = Call("", "hold"); });
  echo_.WaitUntilHeld();
  absl::Notification draining;
  server_->OnDrain([&] { draining.Notify(); });
  std::thread drainer([&] { server_->Drain(absl::Seconds(30)); });
  draining.WaitForNotification();
  echo_.Release();
  caller.join();
  drainer.join();
  EXPECT_TRUE(held.ok()) << held;
  EXPECT_EQ(Call("").code(), absl::StatusCode::kUnavailable);
}

TEST_F(ServerTest, drain_deadline__cancels_what_still_runs) {
  StartServer({});
  absl::Status held;
  std::thread caller([&] { held = Call("", "hold"); });
  echo_.WaitUntilHeld();
  std::thread drainer([&] { server_->Drain(absl::ZeroDuration()); });
  caller.join();
  EXPECT_NE(held.code(), absl::StatusCode::kOk);
  echo_.Release();
  drainer.join();
}

TEST_F(ServerTest, metrics_port__serves_the_registry) {
  StartServer({.metrics_listen = "127.0.0.1:0"});
  EXPECT_NE(server_->metrics_port(), 0);
}

}  // namespace
}  // namespace flightrec::rpc
