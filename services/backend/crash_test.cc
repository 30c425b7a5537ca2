// A real backend process is killed while it takes batches over gRPC, at each step of its writes and
// at random; its successor has everything that was acknowledged, byte by byte.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/ids/resource_name.h"
#include "flightrec/ingest/v1/ingest.grpc.pb.h"
#include "flightrec/read/v1/read.grpc.pb.h"
#include "services/backend/crash_process.h"
#include "services/backend/store/faulty_file_system.h"
#include "services/backend/store/test_workload.h"

namespace flightrec::backend {
namespace {

constexpr int kRounds = 20;
constexpr int kLongRounds = 200;
constexpr size_t kLeastKilled = 8;
constexpr uint64_t kBatchesPerRound = 40;
// Then another store, so that reading all of it stays short.
constexpr uint64_t kMostBatches = 300;
constexpr std::chrono::seconds kCallLimit{60};

bool Long() { return std::getenv("FLIGHTREC_LONG") != nullptr; }

ingest::v1::SessionRequest RequestOf(uint64_t sequence) {
  ingest::v1::SessionRequest request;
  ingest::v1::Batch& batch = *request.mutable_batch();
  batch.set_sequence(sequence);
  trace::v1::Recording recording = WorkloadState(sequence);
  recording.set_state(trace::v1::RECORDING_STATE_RECORDING);
  *batch.add_items()->mutable_recording() = recording;
  batch.add_items()->mutable_chunk()->set_data(WorkloadChunk(sequence));
  *batch.add_items()->mutable_recording() = WorkloadState(sequence);
  return request;
}

// A producer that sends until the backend is gone.
class Producer {
 public:
  explicit Producer(const std::string& address)
      : stub_(ingest::v1::IngestService::NewStub(
            grpc::CreateChannel(address, grpc::InsecureChannelCredentials()))) {
    context_.set_deadline(std::chrono::system_clock::now() + kCallLimit);
    stream_ = stub_->Session(&context_);
  }
  ~Producer() {
    context_.TryCancel();
    stream_->Finish();
  }

  // False: the backend has gone.
  bool Greet(uint64_t& durable) {
    ingest::v1::SessionRequest hello;
    hello.mutable_hello()->set_producer_id("p");
    hello.mutable_hello()->set_producer_epoch(1);
    ingest::v1::SessionResponse response;
    if (!stream_->Write(hello) || !stream_->Read(&response)) return false;
    durable = response.welcome().durable_sequence();
    return response.has_welcome();
  }
  bool Send(uint64_t sequence) { return stream_->Write(RequestOf(sequence)); }
  // The last one acknowledged, when something came.
  bool AwaitAcknowledgement(uint64_t& acknowledged) {
    ingest::v1::SessionResponse response;
    if (!stream_->Read(&response)) return false;
    EXPECT_TRUE(response.has_ack()) << response.ShortDebugString();
    acknowledged = response.ack().durable_sequence();
    return true;
  }

 private:
  std::unique_ptr<ingest::v1::IngestService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<ingest::v1::SessionRequest, ingest::v1::SessionResponse>>
      stream_;
};

class Crash : public ::testing::Test {
 protected:
  // Sends a round of batches, two under way, to a backend that dies at `step`, or never if that
  // does not come; `kill_after` > 0: killed from here after so many acknowledgements.
  void SendUntilKilled(const std::string& step, int count, uint64_t kill_after) {
    ++killed_;
    CrashProcess process({.store = store_, .fault = "kill", .step = step, .count = count});
    const std::string address = process.AwaitAddress();
    if (address.empty()) {
      ASSERT_EQ(process.failure(), "");
      return;
    }
    Producer producer(address);
    uint64_t durable = 0;
    if (!producer.Greet(durable)) return;
    ASSERT_GE(durable, acknowledged_) << "an acknowledged batch is not durable";
    acknowledged_ = durable;
    uint64_t sent = durable;
    const uint64_t last = durable + kBatchesPerRound;
    while (acknowledged_ < last) {
      while (sent < std::min(last, acknowledged_ + 2)) {
        if (!producer.Send(++sent)) return;
      }
      if (!producer.AwaitAcknowledgement(acknowledged_)) return;
      if (kill_after > 0 && acknowledged_ >= durable + kill_after) process.Kill();
    }
    --killed_;
  }

  void CheckAll() {
    CrashProcess process({.store = store_});
    const std::string address = process.AwaitAddress();
    ASSERT_FALSE(address.empty()) << "the backend does not start again: " << process.failure();
    Producer producer(address);
    uint64_t durable = 0;
    ASSERT_TRUE(producer.Greet(durable));
    ASSERT_GE(durable, acknowledged_) << "an acknowledged batch is not durable";
    acknowledged_ = durable;
    auto reader = read::v1::ReadService::NewStub(
        grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
    for (uint64_t first = 1; first <= durable; first += kBatchesPerRecording) {
      CheckRecording(*reader, first, std::min(durable, first + kBatchesPerRecording - 1));
    }
  }

  void StartAnotherWhenLong() {
    if (acknowledged_ < kMostBatches) return;
    store_ = MakeStoreDirectory();
    acknowledged_ = 0;
  }

  // Rounds that ended with the end of the backend, not with their last batch.
  size_t killed() const { return killed_; }

 private:
  static void CheckRecording(read::v1::ReadService::Stub& reader, uint64_t first, uint64_t last) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kCallLimit);
    read::v1::StreamChunksRequest request;
    request.set_parent(ids::RecordingResourceName(WorkloadRecording(first)));
    const auto stream = reader.StreamChunks(&context, request);
    read::v1::StreamChunksResponse response;
    uint64_t next = first;
    bool ended = false;
    while (stream->Read(&response)) {
      if (response.has_header()) {
        EXPECT_EQ(response.header().recording().state(), WorkloadState(last).state());
      } else if (response.has_chunk()) {
        ASSERT_LE(next, last);
        ASSERT_EQ(response.chunk().chunk().data(), WorkloadChunk(next)) << "sequence " << next;
        ++next;
      } else {
        ended = true;
      }
    }
    const grpc::Status status = stream->Finish();
    ASSERT_TRUE(status.ok() && ended) << status.error_message();
    ASSERT_EQ(next, last + 1) << "chunks are missing";
  }

  std::string store_ = MakeStoreDirectory();
  uint64_t acknowledged_ = 0;
  size_t killed_ = 0;
};

TEST_F(Crash, at_each_named_step__then_every_acknowledged_chunk_is_there) {
  // Some come at the start only, some with each batch.
  const std::vector<int> counts = Long() ? std::vector<int>{1, 2, 5, 20, 60} : std::vector<int>{4};
  for (const std::string& step : FileSteps()) {
    // What happens before a step is not much else than after the one before it.
    if (!Long() && absl::EndsWith(step, "before")) continue;
    for (int count : counts) {
      SCOPED_TRACE(absl::StrCat(step, " for the ", count, "th time"));
      ASSERT_NO_FATAL_FAILURE(SendUntilKilled(step, count, 0));
      ASSERT_NO_FATAL_FAILURE(CheckAll());
      StartAnotherWhenLong();
    }
  }
  // The others do not come so often in one round.
  EXPECT_GE(killed(), kLeastKilled);
}

TEST_F(Crash, at_random__then_every_acknowledged_chunk_is_there) {
  std::mt19937 random(11);
  const int rounds = Long() ? kLongRounds : kRounds;
  for (int round = 0; round < rounds; ++round) {
    SCOPED_TRACE(absl::StrCat("round ", round));
    // Of the writes of a round, most are the log's; every third round ends at one of them.
    const std::string step = round % 3 == 0 ? "wal.append.after" : "none";
    const uint64_t kill_after = round % 3 == 0 ? 0 : 1 + random() % kBatchesPerRound;
    ASSERT_NO_FATAL_FAILURE(
        SendUntilKilled(step, 1 + static_cast<int>(random() % kBatchesPerRound), kill_after));
    if (round % 4 == 3 || round + 1 == rounds) {
      ASSERT_NO_FATAL_FAILURE(CheckAll());
      StartAnotherWhenLong();
    }
  }
  EXPECT_GT(killed(), static_cast<size_t>(rounds) / 2);
}

}  // namespace
}  // namespace flightrec::backend
