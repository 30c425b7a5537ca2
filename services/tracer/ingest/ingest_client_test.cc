#include "services/tracer/ingest/ingest_client.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/log/logger.h"
#include "services/tracer/ingest/fake_backend.h"

namespace flightrec::ingest {
namespace {

// Only a test that fails takes that long.
constexpr absl::Duration kPatience = absl::Seconds(30);
constexpr ids::Ulid kRecording(ids::Ulid::Bytes{1});
constexpr ids::Ulid kOther(ids::Ulid::Bytes{2});

v1::Item Named(int number, size_t bytes = 0) {
  v1::Item item;
  item.mutable_recording()->set_name(absl::StrCat("r", number));
  item.mutable_recording()->set_failure(std::string(bytes, 'x'));
  return item;
}

std::vector<std::string> Names(int from, int to) {
  std::vector<std::string> names;
  for (int i = from; i < to; ++i) names.push_back(absl::StrCat("r", i));
  return names;
}

class IngestClientTest : public ::testing::Test {
 protected:
  void StartClient(uint64_t spool_bytes = uint64_t{64} << 20) {
    IngestOptions options;
    options.producer_id = "producer";
    options.spool_bytes = spool_bytes;
    options.batch_delay = batch_delay_;
    options.backoff = {.initial = absl::Milliseconds(1), .max = absl::Milliseconds(20)};
    client_ = std::make_unique<IngestClient>(v1::IngestService::NewStub(backend_.MakeChannel()),
                                             options, clock::RealClock(), random_, logger_);
  }

  void Offer(int from, int to) {
    for (int i = from; i < to; ++i) ASSERT_TRUE(client_->Offer(kRecording, Named(i))) << i;
  }

  absl::Duration batch_delay_ = absl::Milliseconds(1);
  FakeBackend backend_;
  std::mt19937_64 random_{1};
  log::Logger logger_{"test", log::Level::kError};
  std::unique_ptr<IngestClient> client_;
};

TEST_F(IngestClientTest, offered_items__are_durable_in_order_after_flush) {
  backend_.Start();
  StartClient();
  Offer(0, 500);
  EXPECT_EQ(client_->Flush(kPatience), absl::OkStatus());
  EXPECT_EQ(backend_.names(), Names(0, 500));
  const IngestStats stats = client_->Stats();
  EXPECT_EQ(stats.durable_items, 500u);
  EXPECT_EQ(stats.spool_items, 0u);
  EXPECT_EQ(stats.spool_bytes, 0u);
}

TEST_F(IngestClientTest, items_offered_one_after_the_other__share_a_batch) {
  backend_.Start();
  batch_delay_ = absl::Hours(1);
  StartClient();
  ASSERT_EQ(client_->Flush(kPatience), absl::OkStatus());
  Offer(0, 3);
  EXPECT_EQ(client_->Send(kRecording, Named(3)), absl::OkStatus());
  backend_.AwaitBatches(1);
  EXPECT_EQ(backend_.names(), Names(0, 4));
}

TEST_F(IngestClientTest, backend_that_comes_later__gets_everything) {
  StartClient();
  Offer(0, 100);
  EXPECT_EQ(client_->Flush(absl::Milliseconds(50)).code(), absl::StatusCode::kDeadlineExceeded);
  backend_.Start();
  EXPECT_EQ(client_->Flush(kPatience), absl::OkStatus());
  EXPECT_EQ(backend_.names(), Names(0, 100));
}

TEST_F(IngestClientTest, backend_that_restarts__gets_each_item_once) {
  backend_.Start();
  StartClient();
  Offer(0, 100);
  ASSERT_EQ(client_->Flush(kPatience), absl::OkStatus());
  backend_.Stop();
  Offer(100, 200);
  backend_.Start();
  EXPECT_EQ(client_->Flush(kPatience), absl::OkStatus());
  EXPECT_EQ(backend_.names(), Names(0, 200));
  EXPECT_EQ(client_->Stats().connects, 2u);
  EXPECT_EQ(client_->Stats().backend_losses, 0u);
}

TEST_F(IngestClientTest, stream_cut_before_the_ack__does_not_send_what_is_durable_again) {
  backend_.Start();
  StartClient();
  backend_.BreakBehindNextBatch();
  Offer(0, 10);
  EXPECT_EQ(client_->Flush(kPatience), absl::OkStatus());
  EXPECT_EQ(backend_.names(), Names(0, 10));
  EXPECT_EQ(backend_.duplicates(), 0u);
  EXPECT_EQ(client_->Stats().connects, 2u);
}

TEST_F(IngestClientTest, acks_that_come_late__are_waited_for) {
  backend_.HoldAcks();
  backend_.Start();
  StartClient();
  Offer(0, 10);
  backend_.AwaitBatches(1);
  const absl::Status early = client_->Flush(absl::Milliseconds(20));
  EXPECT_EQ(early.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_NE(early.message().find("10 items"), absl::string_view::npos) << early;
  backend_.ReleaseAcks();
  EXPECT_EQ(client_->Flush(kPatience), absl::OkStatus());
}

TEST_F(IngestClientTest, full_spool__refuses_the_newest_and_keeps_the_first) {
  StartClient(/*spool_bytes=*/100'000);
  int taken = 0;
  while (client_->Offer(kRecording, Named(taken, 1000))) ++taken;
  EXPECT_EQ(taken, 98);
  EXPECT_FALSE(client_->Offer(kRecording, Named(taken, 1000)));
  EXPECT_EQ(client_->Send(kRecording, Named(taken, 1000)), absl::OkStatus());
  EXPECT_EQ(client_->Stats().refused_items, 2u);
  backend_.Start();
  EXPECT_EQ(client_->Flush(kPatience), absl::OkStatus());
  EXPECT_EQ(backend_.names(), Names(0, taken + 1));
  EXPECT_TRUE(client_->Offer(kRecording, Named(0, 1000)));
}

TEST_F(IngestClientTest, used_up_reserve__is_resource_exhausted) {
  StartClient(/*spool_bytes=*/0);
  EXPECT_EQ(client_->Send(kRecording, Named(1, kReservedSpoolBytes / 2)), absl::OkStatus());
  EXPECT_EQ(client_->Send(kRecording, Named(1, kReservedSpoolBytes / 2)).code(),
            absl::StatusCode::kResourceExhausted);
}

TEST_F(IngestClientTest, little_credit__is_never_exceeded) {
  backend_.SetCredit(5000);
  backend_.Start();
  StartClient();
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(client_->Offer(kRecording, Named(i, 1000)));
  EXPECT_EQ(client_->Flush(kPatience), absl::OkStatus());
  EXPECT_EQ(backend_.names(), Names(0, 50));
  EXPECT_LE(backend_.most_bytes_in_flight(), 5000u);
}

TEST_F(IngestClientTest, backend_with_another_store__is_told_a_new_epoch) {
  backend_.Start();
  StartClient();
  Offer(0, 10);
  ASSERT_EQ(client_->Flush(kPatience), absl::OkStatus());
  backend_.Stop();
  backend_.ForgetEverything();
  Offer(10, 20);
  backend_.Start();
  EXPECT_EQ(client_->Flush(kPatience), absl::OkStatus());
  EXPECT_EQ(backend_.names(), Names(10, 20));
  EXPECT_EQ(backend_.epoch(), 2u);
  EXPECT_EQ(client_->Stats().backend_losses, 1u);
}

TEST_F(IngestClientTest, rejected_batch__is_counted_for_its_recording_and_not_sent_again) {
  backend_.RejectNextBatch();
  StartClient();
  ASSERT_TRUE(client_->Offer(kRecording, Named(0)));
  ASSERT_TRUE(client_->Offer(kOther, Named(1)));
  backend_.Start();
  ASSERT_EQ(client_->Flush(kPatience), absl::OkStatus());
  Offer(2, 5);
  EXPECT_EQ(client_->Flush(kPatience), absl::OkStatus());
  EXPECT_EQ(backend_.names(), Names(1, 5));
  EXPECT_EQ(client_->Stats().rejected_items, 1u);
  EXPECT_EQ(client_->TakeRejected(kOther), 0u);
  EXPECT_EQ(client_->TakeRejected(kRecording), 1u);
  EXPECT_EQ(client_->TakeRejected(kRecording), 0u);
  EXPECT_EQ(client_->Stats().last_error.code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(IngestClientTest, ack_of_what_was_never_sent__ends_the_stream) {
  backend_.AcknowledgeAhead(1000);
  backend_.Start();
  StartClient();
  Offer(0, 10);
  EXPECT_EQ(client_->Flush(kPatience), absl::OkStatus());
  EXPECT_EQ(client_->Stats().last_error.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(backend_.names(), Names(0, 10));
}

TEST_F(IngestClientTest, destroyed_without_backend__ends) {
  StartClient();
  Offer(0, 10);
  client_.reset();
}

TEST_F(IngestClientTest, destroyed_while_acks_are_held__ends) {
  backend_.HoldAcks();
  backend_.Start();
  StartClient();
  Offer(0, 10);
  backend_.AwaitBatches(1);
  client_.reset();
}

}  // namespace
}  // namespace flightrec::ingest
