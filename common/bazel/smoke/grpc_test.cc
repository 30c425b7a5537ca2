#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "grpcpp/ext/channelz_service_plugin.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/grpcpp.h"
#include "gtest/gtest.h"
#include "smoke/echo.grpc.pb.h"

namespace flightrec::smoke {
namespace {

class EchoService final : public Echo::Service {
 public:
  grpc::Status Once(grpc::ServerContext*, const EchoRequest* request,
                    EchoResponse* response) override {
    response->set_text(absl::StrCat(request->text(), "!"));
    google::rpc::ErrorInfo info;
    info.set_reason("ECHOED");
    response->mutable_status()->add_details()->PackFrom(info);
    return grpc::Status::OK;
  }

  grpc::Status Stream(grpc::ServerContext*,
                      grpc::ServerReaderWriter<EchoResponse, EchoRequest>* stream) override {
    EchoRequest request;
    while (stream->Read(&request)) {
      EchoResponse response;
      response.set_text(request.text());
      stream->Write(response);
    }
    return grpc::Status::OK;
  }
};

class DependenciesGrpc : public testing::Test {
 protected:
  void SetUp() override {
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::channelz::experimental::InitChannelzService();
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    stub_ = Echo::NewStub(
        grpc::CreateChannel(absl::StrCat("127.0.0.1:", port_), grpc::InsecureChannelCredentials()));
  }

  EchoService service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Echo::Stub> stub_;
};

TEST_F(DependenciesGrpc, unary_call__answers_with_error_details) {
  grpc::ClientContext context;
  EchoRequest request;
  request.set_text("hello");
  EchoResponse response;
  const grpc::Status status = stub_->Once(&context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.text(), "hello!");
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(response.status().details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "ECHOED");
}

TEST_F(DependenciesGrpc, bidirectional_stream__returns_every_message) {
  grpc::ClientContext context;
  auto stream = stub_->Stream(&context);
  for (int i = 0; i < 3; ++i) {
    EchoRequest request;
    request.set_text(absl::StrCat("message ", i));
    ASSERT_TRUE(stream->Write(request));
    EchoResponse response;
    ASSERT_TRUE(stream->Read(&response));
    EXPECT_EQ(response.text(), request.text());
  }
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

}  // namespace
}  // namespace flightrec::smoke
