#include "services/backend/ingest_service.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/chunk/format.h"
#include "common/ids/resource_name.h"
#include "common/rpc/status.h"
#include "services/backend/loopback_backend.h"
#include "services/backend/store/test_items.h"

namespace flightrec::backend {
namespace {

const ids::Ulid kRecording = TestRecordingId(1);

ingest::v1::Batch EmptyBatch(uint64_t sequence) {
  ingest::v1::Batch batch;
  batch.set_sequence(sequence);
  return batch;
}

ingest::v1::Batch RecordingBatch(uint64_t sequence) {
  ingest::v1::Batch batch = EmptyBatch(sequence);
  *batch.add_items()->mutable_recording() = TestRecording(kRecording);
  return batch;
}

ingest::v1::Batch ChunkBatch(uint64_t sequence, const std::string& chunk) {
  ingest::v1::Batch batch = EmptyBatch(sequence);
  batch.add_items()->mutable_chunk()->set_data(chunk);
  return batch;
}

// Sends the recording, then `batch` with sequence 2, and gives the rejection.
ingest::v1::Rejection RejectionOf(ingest::v1::Batch batch) {
  LoopbackBackend backend;
  TestProducer producer(backend);
  producer.Greet();
  producer.Send(RecordingBatch(1));
  EXPECT_EQ(producer.Next().ack().durable_sequence(), 1u);
  batch.set_sequence(2);
  producer.Send(batch);
  const ingest::v1::SessionResponse response = producer.Next();
  EXPECT_TRUE(response.has_rejection()) << response.ShortDebugString();
  EXPECT_EQ(response.rejection().sequence(), 2u);
  // The sequence counts as taken.
  EXPECT_EQ(producer.Next().ack().durable_sequence(), 2u);
  return response.rejection();
}

int CodeOf(absl::StatusCode code) { return static_cast<int>(code); }

TEST(IngestService, hello__then_welcome_with_credit_and_limit) {
  LoopbackBackend backend;
  TestProducer producer(backend);
  const ingest::v1::Welcome welcome = producer.Greet();
  EXPECT_EQ(welcome.durable_sequence(), 0u);
  EXPECT_EQ(welcome.credit_bytes(), static_cast<uint64_t>(IngestLimits().session_credit_bytes));
  EXPECT_EQ(welcome.max_batch_bytes(), static_cast<uint64_t>(IngestLimits().max_batch_bytes));
}

TEST(IngestService, batch__then_ack_gives_its_bytes_back) {
  LoopbackBackend backend;
  TestProducer producer(backend);
  producer.Greet();
  const ingest::v1::Batch batch = RecordingBatch(1);
  producer.Send(batch);
  const ingest::v1::SessionResponse response = producer.Next();
  EXPECT_EQ(response.ack().durable_sequence(), 1u);
  EXPECT_EQ(response.ack().credit_bytes(), batch.ByteSizeLong());
}

TEST(IngestService, producer_comes_back__then_welcome_says_where_to_go_on) {
  LoopbackBackend backend;
  {
    TestProducer producer(backend);
    producer.Greet();
    producer.Send(RecordingBatch(1));
    producer.Next();
    EXPECT_TRUE(producer.Finish().ok());
  }
  TestProducer producer(backend);
  EXPECT_EQ(producer.Greet().durable_sequence(), 1u);
}

TEST(IngestService, batch_is_sent_again__then_it_is_acknowledged_and_counted) {
  LoopbackBackend backend;
  TestProducer producer(backend);
  producer.Greet();
  producer.Send(RecordingBatch(1));
  producer.Next();
  producer.Send(RecordingBatch(1));
  EXPECT_EQ(producer.Next().ack().durable_sequence(), 1u);
  EXPECT_TRUE(absl::StrContains(backend.metrics(), "flightrec_backend_duplicate_batches_total 1"));
}

TEST(IngestService, flush__then_flushed_comes_after_all_batches_are_durable) {
  LoopbackBackend backend;
  TestProducer producer(backend);
  producer.Greet();
  producer.Send(RecordingBatch(1));
  producer.Send(EmptyBatch(2));
  producer.SendFlush(77);
  ingest::v1::SessionResponse response = producer.Next();
  while (response.has_ack()) response = producer.Next();
  EXPECT_EQ(response.flushed().token(), 77u);
  EXPECT_EQ(response.flushed().durable_sequence(), 2u);
}

TEST(IngestService, stream_fails__then_it_is_counted_by_status) {
  LoopbackBackend backend;
  TestProducer producer(backend);
  producer.Greet();
  producer.Send(RecordingBatch(2));
  EXPECT_FALSE(producer.Finish().ok());
  EXPECT_TRUE(absl::StrContains(backend.metrics(),
                                "sessions_failed_total{status=\"FAILED_PRECONDITION\"} 1"));
}

TEST(IngestService, sequence_is_missing__then_stream_ends_with_FAILED_PRECONDITION) {
  LoopbackBackend backend;
  TestProducer producer(backend);
  producer.Greet();
  producer.Send(EmptyBatch(1));
  producer.Send(EmptyBatch(3));
  const grpc::Status status = producer.Finish();
  EXPECT_EQ(status.error_code(), grpc::FAILED_PRECONDITION);
  EXPECT_TRUE(absl::StrContains(status.error_message(), "expected sequence 2, got 3"))
      << status.error_message();
  EXPECT_EQ(rpc::DetailsOf(rpc::FromGrpcStatus(status)).reason, "OUT_OF_SEQUENCE");
}

TEST(IngestService, first_frame_is_no_hello__then_FAILED_PRECONDITION) {
  LoopbackBackend backend;
  TestProducer producer(backend);
  producer.Send(EmptyBatch(1));
  EXPECT_EQ(producer.Finish().error_code(), grpc::FAILED_PRECONDITION);
}

TEST(IngestService, producer_id_is_empty__then_INVALID_ARGUMENT) {
  LoopbackBackend backend;
  TestProducer producer(backend);
  producer.SendHello(1, "");
  EXPECT_EQ(producer.Finish().error_code(), grpc::INVALID_ARGUMENT);
}

TEST(IngestService, epoch_is_over__then_FAILED_PRECONDITION) {
  LoopbackBackend backend;
  TestProducer newer(backend);
  newer.Greet(5);
  TestProducer older(backend);
  older.SendHello(4);
  EXPECT_EQ(older.Finish().error_code(), grpc::FAILED_PRECONDITION);
}

TEST(IngestService, corrupt_chunk__then_rejected_with_DATA_LOSS) {
  std::string chunk = TestChunk(kRecording, 0);
  chunk.back() ^= 1;
  const ingest::v1::Rejection rejection = RejectionOf(ChunkBatch(2, chunk));
  EXPECT_EQ(rejection.status().code(), CodeOf(absl::StatusCode::kDataLoss));
  EXPECT_EQ(rejection.item(), 0u);
  EXPECT_GT(rejection.status().details_size(), 0);
}

TEST(IngestService, chunk_of_unknown_version__then_rejected_with_UNIMPLEMENTED) {
  std::string chunk = TestChunk(kRecording, 0);
  chunk[chunk::kOffsetVersion] = 99;
  EXPECT_EQ(RejectionOf(ChunkBatch(2, chunk)).status().code(),
            CodeOf(absl::StatusCode::kUnimplemented));
}

TEST(IngestService, chunk_above_1_MiB__then_rejected_with_INVALID_ARGUMENT) {
  const ingest::v1::Rejection rejection =
      RejectionOf(ChunkBatch(2, std::string(chunk::kMaxChunkBytes + 1, 'x')));
  EXPECT_EQ(rejection.status().code(), CodeOf(absl::StatusCode::kInvalidArgument));
}

TEST(IngestService, batch_above_limit__then_rejected_with_INVALID_ARGUMENT) {
  ingest::v1::Batch batch = ChunkBatch(2, std::string(chunk::kMaxChunkBytes, 'x'));
  *batch.add_items() = batch.items(0);
  const ingest::v1::Rejection rejection = RejectionOf(batch);
  EXPECT_EQ(rejection.status().code(), CodeOf(absl::StatusCode::kInvalidArgument));
  EXPECT_TRUE(absl::StrContains(rejection.status().message(), "max_batch_bytes"))
      << rejection.status().message();
}

TEST(IngestService, chunk_of_unknown_recording__then_rejected_with_FAILED_PRECONDITION) {
  const ingest::v1::Rejection rejection =
      RejectionOf(ChunkBatch(2, TestChunk(TestRecordingId(9), 0)));
  EXPECT_EQ(rejection.status().code(), CodeOf(absl::StatusCode::kFailedPrecondition));
}

TEST(IngestService, batch_exceeds_credit__then_FAILED_PRECONDITION) {
  BackendConfig config = TestConfig();
  config.server.max_message_bytes = 16 << 20;
  LoopbackBackend backend(config);
  TestProducer producer(backend);
  const ingest::v1::Welcome welcome = producer.Greet();
  producer.Send(ChunkBatch(1, std::string(welcome.credit_bytes() + 1, 'x')));
  EXPECT_EQ(producer.Finish().error_code(), grpc::FAILED_PRECONDITION);
}

TEST(IngestService, session_limit_is_reached__then_RESOURCE_EXHAUSTED_with_retry) {
  BackendConfig config = TestConfig();
  config.ingest.max_sessions = 1;
  LoopbackBackend backend(config);
  TestProducer first(backend);
  first.Greet();
  TestProducer second(backend);
  const grpc::Status status = second.Finish();
  EXPECT_EQ(status.error_code(), grpc::RESOURCE_EXHAUSTED);
  EXPECT_GT(rpc::DetailsOf(rpc::FromGrpcStatus(status)).retry_after, absl::ZeroDuration());
}

TEST(IngestService, recording_limit_is_reached__then_a_new_one_is_rejected_until_one_has_gone) {
  BackendConfig config = TestConfig();
  config.ingest.max_recordings = 1;
  config.retention.undelete_window = absl::ZeroDuration();
  LoopbackBackend backend(config);
  TestProducer producer(backend);
  producer.Greet();
  producer.Send(RecordingBatch(1));
  EXPECT_EQ(producer.Next().ack().durable_sequence(), 1u);
  ingest::v1::Batch another = EmptyBatch(2);
  *another.add_items()->mutable_recording() = TestRecording(TestRecordingId(2));
  producer.Send(another);
  const ingest::v1::SessionResponse response = producer.Next();
  EXPECT_EQ(response.rejection().status().code(), CodeOf(absl::StatusCode::kResourceExhausted));
  EXPECT_TRUE(absl::StrContains(response.rejection().status().message(), "--max_recordings=1"));
  EXPECT_EQ(producer.Next().ack().durable_sequence(), 2u);
  EXPECT_TRUE(absl::StrContains(backend.metrics(), "{reason=\"TOO_MANY_RECORDINGS\"} 1"));
  // The one that is known goes on.
  producer.Send(ChunkBatch(3, TestChunk(kRecording, 0)));
  EXPECT_EQ(producer.Next().ack().durable_sequence(), 3u);

  grpc::ClientContext context;
  read::v1::DeleteRecordingRequest request;
  request.set_name(ids::RecordingResourceName(kRecording));
  google::protobuf::Empty empty;
  ASSERT_TRUE(backend.read().DeleteRecording(&context, request, &empty).ok());
  another.set_sequence(4);
  producer.Send(another);
  EXPECT_EQ(producer.Next().ack().durable_sequence(), 4u);
}

TEST(IngestService, producer_does_not_wait_for_acks__then_all_its_batches_are_taken) {
  constexpr uint64_t kBatches = 4 * kMaxUncommittedBatches;
  LoopbackBackend backend;
  TestProducer producer(backend);
  producer.Greet();
  for (uint64_t sequence = 1; sequence <= kBatches; ++sequence) producer.Send(EmptyBatch(sequence));
  producer.SendFlush(1);
  ingest::v1::SessionResponse response = producer.Next();
  while (response.has_ack()) response = producer.Next();
  EXPECT_EQ(response.flushed().durable_sequence(), kBatches);
}

TEST(IngestService, producers_send_at_once__then_each_has_its_own_sequence) {
  constexpr int kProducers = 8;
  static constexpr uint64_t kBatches = 100;
  LoopbackBackend backend;
  std::vector<std::thread> threads;
  for (int i = 0; i < kProducers; ++i) {
    threads.emplace_back([&backend, i] {
      TestProducer producer(backend);
      producer.Greet(1, absl::StrCat("producer", i));
      const ids::Ulid recording = TestRecordingId(static_cast<uint8_t>(i));
      ingest::v1::Batch batch = EmptyBatch(1);
      *batch.add_items()->mutable_recording() = TestRecording(recording);
      producer.Send(batch);
      for (uint64_t n = 2; n <= kBatches; ++n) {
        producer.Send(ChunkBatch(n, TestChunk(recording, n - 2)));
      }
      producer.SendFlush(1);
      ingest::v1::SessionResponse response = producer.Next();
      while (response.has_ack()) response = producer.Next();
      EXPECT_EQ(response.flushed().durable_sequence(), kBatches) << response.ShortDebugString();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(absl::StrContains(backend.metrics(), "flightrec_backend_chunks_total 792\n"));
}

TEST(IngestService, producer_vanishes_and_comes_back__then_each_chunk_is_kept_once) {
  LoopbackBackend backend;
  {
    TestProducer producer(backend);
    producer.Greet();
    producer.Send(RecordingBatch(1));
    for (uint64_t n = 2; n <= 50; ++n) producer.Send(ChunkBatch(n, TestChunk(kRecording, n - 2)));
    // The destructor cancels the call.
  }
  TestProducer producer(backend);
  const uint64_t durable = producer.Greet().durable_sequence();
  for (uint64_t n = durable + 1; n <= 50; ++n) {
    producer.Send(n == 1 ? RecordingBatch(1) : ChunkBatch(n, TestChunk(kRecording, n - 2)));
  }
  producer.SendFlush(1);
  ingest::v1::SessionResponse response = producer.Next();
  while (response.has_ack()) response = producer.Next();
  EXPECT_EQ(response.flushed().durable_sequence(), 50u) << response.ShortDebugString();
  EXPECT_TRUE(absl::StrContains(backend.metrics(), "flightrec_backend_chunks_total 49\n"));
}

TEST(IngestService, server_drains__then_session_ends_with_UNAVAILABLE_after_its_ack) {
  LoopbackBackend backend;
  TestProducer producer(backend);
  producer.Greet();
  producer.Send(RecordingBatch(1));
  EXPECT_EQ(producer.Next().ack().durable_sequence(), 1u);
  backend.server().Drain();
  EXPECT_EQ(producer.Finish().error_code(), grpc::UNAVAILABLE);
}

}  // namespace
}  // namespace flightrec::backend
