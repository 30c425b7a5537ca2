#include "services/tracer/ingest/ingest_client.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/log/logger.h"
#include "common/metrics/registry.h"

namespace flightrec::tracer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr absl::Duration kLongEnough = absl::Seconds(30);

// A backend that keeps batches in memory, across restarts of its server.
class FakeBackend final : public ingest::v1::IngestService::Service {
 public:
  // Ends the stream after this many batches without acknowledging the last one; 0 = never.
  void BreakAfter(int batches) {
    absl::MutexLock lock(&mutex_);
    break_after_ = batches;
  }
  void AcknowledgeNothing() {
    absl::MutexLock lock(&mutex_);
    acknowledge_ = false;
  }
  std::vector<uint64_t> received() {
    absl::MutexLock lock(&mutex_);
    return received_;
  }

  grpc::Status Session(grpc::ServerContext*,
                       grpc::ServerReaderWriter<ingest::v1::SessionResponse,
                                                ingest::v1::SessionRequest>* stream) override {
    ingest::v1::SessionRequest request;
    ingest::v1::SessionResponse response;
    if (!stream->Read(&request) || !request.has_hello())
      return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no hello");
    {
      absl::MutexLock lock(&mutex_);
      response.mutable_welcome()->set_durable_sequence(durable_);
    }
    response.mutable_welcome()->set_credit_bytes(1 << 20);
    stream->Write(response);
    while (stream->Read(&request)) {
      response.Clear();
      {
        absl::MutexLock lock(&mutex_);
        received_.push_back(request.batch().sequence());
        if (break_after_ > 0 && --break_after_ == 0)
          return grpc::Status(grpc::StatusCode::INTERNAL, "disk on fire");
        if (!acknowledge_) continue;
        durable_ = request.batch().sequence();
        response.mutable_ack()->set_durable_sequence(durable_);
      }
      response.mutable_ack()->set_credit_bytes(request.batch().ByteSizeLong());
      stream->Write(response);
    }
    return grpc::Status::OK;
  }

 private:
  absl::Mutex mutex_;
  std::vector<uint64_t> received_ ABSL_GUARDED_BY(mutex_);
  uint64_t durable_ ABSL_GUARDED_BY(mutex_) = 0;
  int break_after_ ABSL_GUARDED_BY(mutex_) = 0;
  bool acknowledge_ ABSL_GUARDED_BY(mutex_) = true;
};

class IngestClientTest : public ::testing::Test {
 protected:
  // Port 0 the first time, the same one after a restart.
  void StartServer() {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:" + std::to_string(port_),
                             grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(&backend_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }

  void StopServer() {
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    server_.reset();
  }

  std::unique_ptr<IngestClient> MakeClient(uint64_t spool_bytes = 10 << 20) {
    const std::string address = "127.0.0.1:" + std::to_string(port_);
    IngestClientOptions options;
    options.producer_id = "producer";
    options.spool_bytes = spool_bytes;
    options.backend = address;
    return std::make_unique<IngestClient>(
        grpc::CreateChannel(address, grpc::InsecureChannelCredentials()), options,
        &clock::RealClock(), &logger_, &registry_);
  }

  static ingest::v1::Item Chunk(size_t bytes = 100) {
    ingest::v1::Item item;
    item.mutable_chunk()->set_data(std::string(bytes, 'x'));
    return item;
  }

  int port_ = 0;
  FakeBackend backend_;
  std::unique_ptr<grpc::Server> server_;
  log::Logger logger_{"test", log::Level::kError};
  metrics::Registry registry_;
};

TEST_F(IngestClientTest, chunks_sent__then_flush_returns_when_all_are_durable) {
  StartServer();
  auto client = MakeClient();
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(client->Send(Chunk(), SpoolRoom::kLimit));
  EXPECT_TRUE(client->Flush(kLongEnough).ok());
  EXPECT_THAT(backend_.received(), ElementsAre(1, 2, 3));
  EXPECT_EQ(client->progress().spool_bytes, 0u);
}

TEST_F(IngestClientTest,
       stream_breaks_before_an_acknowledgement__then_only_that_batch_comes_again) {
  StartServer();
  backend_.BreakAfter(2);
  auto client = MakeClient();
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(client->Send(Chunk(), SpoolRoom::kLimit));
  EXPECT_TRUE(client->Flush(kLongEnough).ok());
  EXPECT_THAT(backend_.received(), ElementsAre(1, 2, 2));
}

TEST_F(IngestClientTest, backend_is_down_at_first__then_everything_arrives_once_it_is_up) {
  StartServer();
  StopServer();
  auto client = MakeClient();
  EXPECT_TRUE(client->Send(Chunk(), SpoolRoom::kLimit));
  EXPECT_EQ(client->Flush(absl::Milliseconds(1)).code(), absl::StatusCode::kDeadlineExceeded);
  StartServer();
  EXPECT_TRUE(client->Flush(kLongEnough).ok());
  EXPECT_THAT(backend_.received(), ElementsAre(1));
}

TEST_F(IngestClientTest,
       backend_stays_away__then_spool_refuses_at_its_limit_and_flush_names_the_backend) {
  StartServer();
  StopServer();
  auto client = MakeClient(/*spool_bytes=*/1000);
  EXPECT_TRUE(client->Send(Chunk(900), SpoolRoom::kLimit));
  EXPECT_FALSE(client->Send(Chunk(900), SpoolRoom::kLimit));
  absl::Status flushed = client->Flush(absl::Milliseconds(1));
  EXPECT_EQ(flushed.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(flushed.message(), HasSubstr("the backend at 127.0.0.1:" + std::to_string(port_)));
}

TEST_F(IngestClientTest,
       backend_acknowledges_nothing__then_credit_bounds_what_is_sent_and_the_end_does_not_hang) {
  StartServer();
  backend_.AcknowledgeNothing();
  auto client = MakeClient();
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(client->Send(Chunk(400 << 10), SpoolRoom::kLimit));
  EXPECT_EQ(client->Flush(absl::Milliseconds(200)).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_LE(backend_.received().size(), 2u);
  client.reset();
  StopServer();
}

}  // namespace
}  // namespace flightrec::tracer
