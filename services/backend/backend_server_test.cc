#include "services/backend/backend_server.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "common/rpc/endpoint_file.h"
#include "flightrec/admin/v1/admin.grpc.pb.h"
#include "services/backend/loopback_backend.h"
#include "services/backend/store/test_items.h"

namespace flightrec::backend {
namespace {

TEST(BackendServer, store_is_owned__then_FAILED_PRECONDITION_names_the_endpoint) {
  LoopbackBackend owner;
  BackendConfig config = TestConfig();
  config.store_directory = owner.directory();
  log::Logger logger("backend", log::Level::kError);
  metrics::Registry registry;
  const absl::Status status =
      BackendServer::Start(Finalize(config).value(), &logger, &registry).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(absl::StrContains(status.message(), owner.server().address())) << status;
}

TEST(BackendServer, drained__then_endpoint_file_is_gone_and_store_is_free) {
  BackendConfig config = TestConfig();
  {
    LoopbackBackend first;
    config.store_directory = first.directory();
    EXPECT_EQ(rpc::ReadEndpointFile(first.directory())->backend, first.server().address());
    first.server().Drain();
    EXPECT_EQ(rpc::ReadEndpointFile(first.directory()).status().code(),
              absl::StatusCode::kNotFound);
  }
  LoopbackBackend second(config);
  EXPECT_EQ(second.directory(), config.store_directory);
}

TEST(BackendServer, tokens_are_required__then_tenants_do_not_see_each_other) {
  BackendConfig config = TestConfig();
  config.server.token_file = ::testing::TempDir() + "/tokens";
  std::ofstream(config.server.token_file) << "aaaaaaaaaaaaaaaaaaaa read,write one\n"
                                          << "bbbbbbbbbbbbbbbbbbbb read two\n";
  LoopbackBackend backend(config);
  grpc::ClientContext ingest_context;
  ingest_context.AddMetadata("authorization", "Bearer aaaaaaaaaaaaaaaaaaaa");
  const auto stream = backend.ingest().Session(&ingest_context);
  ingest::v1::SessionRequest hello;
  hello.mutable_hello()->set_producer_id("p");
  stream->Write(hello);
  ingest::v1::SessionRequest batch;
  batch.mutable_batch()->set_sequence(1);
  *batch.mutable_batch()->add_items()->mutable_recording() = TestRecording(TestRecordingId(1));
  stream->Write(batch);
  stream->WritesDone();
  ingest::v1::SessionResponse response;
  while (stream->Read(&response)) {
  }
  ASSERT_TRUE(stream->Finish().ok());
  EXPECT_EQ(response.ack().durable_sequence(), 1u);

  const auto count = [&backend](const std::string& token) {
    grpc::ClientContext context;
    context.AddMetadata("authorization", "Bearer " + token);
    read::v1::ListRecordingsResponse list;
    EXPECT_TRUE(backend.read().ListRecordings(&context, {}, &list).ok());
    return list.recordings_size();
  };
  EXPECT_EQ(count("aaaaaaaaaaaaaaaaaaaa"), 1);
  EXPECT_EQ(count("bbbbbbbbbbbbbbbbbbbb"), 0);

  grpc::ClientContext delete_context;
  delete_context.AddMetadata("authorization", "Bearer aaaaaaaaaaaaaaaaaaaa");
  read::v1::DeleteRecordingRequest request;
  google::protobuf::Empty empty;
  EXPECT_EQ(backend.read().DeleteRecording(&delete_context, request, &empty).error_code(),
            grpc::PERMISSION_DENIED);
}

TEST(BackendServer, admin_of_one_tenant__then_does_not_get_the_whole_store) {
  BackendConfig config = TestConfig();
  config.server.token_file = ::testing::TempDir() + "/admin_tokens";
  std::ofstream(config.server.token_file) << "aaaaaaaaaaaaaaaaaaaa admin one\n"
                                          << "bbbbbbbbbbbbbbbbbbbb admin\n";
  LoopbackBackend backend(config);
  const auto admin = admin::v1::AdminService::NewStub(
      grpc::CreateChannel(backend.server().address(), grpc::InsecureChannelCredentials()));
  const auto check = [&admin](const std::string& token) {
    grpc::ClientContext context;
    context.AddMetadata("authorization", "Bearer " + token);
    const auto stream = admin->CheckStore(&context, {});
    admin::v1::CheckStoreResponse response;
    while (stream->Read(&response)) {
    }
    return stream->Finish();
  };
  const grpc::Status refused = check("aaaaaaaaaaaaaaaaaaaa");
  EXPECT_EQ(refused.error_code(), grpc::PERMISSION_DENIED);
  EXPECT_TRUE(absl::StrContains(refused.error_message(), "tenant one"));
  EXPECT_TRUE(check("bbbbbbbbbbbbbbbbbbbb").ok());
}

TEST(BackendConfig, limits_contradict_each_other__then_INVALID_ARGUMENT_names_the_flag) {
  BackendConfig config = TestConfig();
  config.store_directory = "unused";
  config.ingest.max_batch_bytes = config.server.max_message_bytes;
  const absl::Status status = Finalize(config).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "--max_batch_bytes=")) << status;
}

TEST(BackendConfig, no_store__then_INVALID_ARGUMENT) {
  EXPECT_EQ(Finalize(TestConfig()).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace flightrec::backend
