#include "services/backend/tail_service.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "common/ids/resource_name.h"
#include "services/backend/loopback_backend.h"
#include "services/backend/store/test_items.h"

namespace flightrec::backend {
namespace {

constexpr std::chrono::seconds kDeadline{30};

// A producer with one recording; the test adds chunks to it.
class TailServiceTest : public ::testing::Test {
 protected:
  explicit TailServiceTest(BackendConfig config = TestConfig())
      : backend_(std::move(config)), producer_(backend_) {
    producer_.Greet();
    ingest::v1::Batch batch;
    *batch.add_items()->mutable_recording() = TestRecording(recording_);
    Commit(batch);
  }

  void Commit(ingest::v1::Batch& batch) {
    batch.set_sequence(++sequence_);
    producer_.Send(batch);
    while (producer_.Next().ack().durable_sequence() != sequence_) continue;
  }
  void AddChunk() {
    ingest::v1::Batch batch;
    batch.add_items()->mutable_chunk()->set_data(TestChunk(recording_, chunks_++));
    Commit(batch);
  }
  void Seal() {
    ingest::v1::Batch batch;
    *batch.add_items()->mutable_recording() =
        TestRecording(recording_, trace::v1::RECORDING_STATE_SEALED);
    Commit(batch);
  }

  using Reader = std::unique_ptr<grpc::ClientReader<read::v1::TailChunksResponse>>;
  Reader Tail(grpc::ClientContext& context, uint64_t after_position = 0) {
    context.set_deadline(std::chrono::system_clock::now() + kDeadline);
    read::v1::TailChunksRequest request;
    request.set_parent(ids::RecordingResourceName(recording_));
    request.set_after_position(after_position);
    return backend_.read().TailChunks(&context, request);
  }

  const ids::Ulid recording_ = TestRecordingId(1);
  LoopbackBackend backend_;
  TestProducer producer_;
  uint64_t sequence_ = 0;
  uint64_t chunks_ = 0;
};

TEST_F(TailServiceTest, chunks_become_durable__then_the_reader_gets_them_until_the_seal) {
  AddChunk();
  grpc::ClientContext context;
  const Reader reader = Tail(context);
  read::v1::TailChunksResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.chunk().position(), 1u);
  EXPECT_EQ(response.chunk().chunk().data(), TestChunk(recording_, 0));
  // The stream waits now, or soon.
  AddChunk();
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.chunk().position(), 2u);
  Seal();
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.end().chunks(), 2u);
  EXPECT_GE(response.end().calls(), 200u);
  EXPECT_EQ(response.end().last_position(), 2u);
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_TRUE(reader->Finish().ok());
}

TEST_F(TailServiceTest, position_is_named__then_only_later_chunks_come) {
  AddChunk();
  AddChunk();
  Seal();
  grpc::ClientContext context;
  const Reader reader = Tail(context, 1);
  read::v1::TailChunksResponse response;
  ASSERT_TRUE(reader->Read(&response));
  EXPECT_EQ(response.chunk().position(), 2u);
}

TEST_F(TailServiceTest, readers_have_gone__then_ingest_goes_on_and_no_reader_is_left) {
  constexpr int kReaders = 8;
  for (int i = 0; i < kReaders; ++i) {
    grpc::ClientContext context;
    const Reader reader = Tail(context);
    if (i % 2 == 0) AddChunk();
    context.TryCancel();
    EXPECT_EQ(reader->Finish().error_code(), grpc::CANCELLED);
  }
  AddChunk();
  while (!absl::StrContains(backend_.metrics(), "flightrec_backend_tails 0")) {
    std::this_thread::yield();
  }
}

TEST_F(TailServiceTest, backend_drains__then_a_waiting_reader_is_told) {
  AddChunk();
  grpc::ClientContext context;
  const Reader reader = Tail(context);
  read::v1::TailChunksResponse response;
  // The stream is open.
  ASSERT_TRUE(reader->Read(&response));
  std::thread drain([this] { backend_.server().Drain(); });
  EXPECT_FALSE(reader->Read(&response));
  EXPECT_EQ(reader->Finish().error_code(), grpc::UNAVAILABLE);
  drain.join();
}

BackendConfig OneTail() {
  BackendConfig config = TestConfig();
  config.read.max_tails = 1;
  return config;
}

class OneTailTest : public TailServiceTest {
 protected:
  OneTailTest() : TailServiceTest(OneTail()) {}
};

TEST_F(OneTailTest, one_reader_too_many__then_RESOURCE_EXHAUSTED_names_the_flag) {
  AddChunk();
  grpc::ClientContext first_context;
  const Reader first = Tail(first_context);
  read::v1::TailChunksResponse response;
  ASSERT_TRUE(first->Read(&response));
  grpc::ClientContext second_context;
  const Reader second = Tail(second_context);
  EXPECT_FALSE(second->Read(&response));
  const grpc::Status status = second->Finish();
  EXPECT_EQ(status.error_code(), grpc::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(absl::StrContains(status.error_message(), "--max_tails=1"));
}

}  // namespace
}  // namespace flightrec::backend
