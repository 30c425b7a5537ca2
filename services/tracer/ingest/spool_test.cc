#include "services/tracer/ingest/spool.h"

#include <gtest/gtest.h>

#include <string>

namespace flightrec::ingest {
namespace {

constexpr uint64_t kNoLimit = ~uint64_t{0};
constexpr uint64_t kBatchBytes = 2500;
constexpr ids::Ulid kRecording(ids::Ulid::Bytes{1});
constexpr ids::Ulid kOther(ids::Ulid::Bytes{2});

v1::Item Item(size_t bytes = 1000) {
  v1::Item item;
  item.mutable_chunk()->set_data(std::string(bytes, 'x'));
  return item;
}

uint64_t SequenceOf(const Spool::Frame& frame) {
  return frame == nullptr ? 0 : frame->batch().sequence();
}

TEST(Spool, items__go_into_batches_of_at_most_the_wanted_size) {
  Spool spool;
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(spool.Append(kRecording, Item(), kNoLimit));
  uint64_t credit = 1'000'000;
  EXPECT_EQ(spool.NextFrame(kBatchBytes, credit)->batch().items_size(), 2);
  EXPECT_EQ(spool.NextFrame(kBatchBytes, credit)->batch().items_size(), 2);
  EXPECT_EQ(SequenceOf(spool.NextFrame(kBatchBytes, credit)), 3u);
  EXPECT_EQ(spool.NextFrame(kBatchBytes, credit), nullptr);
  EXPECT_FALSE(spool.HasUnsent());
}

TEST(Spool, items_of_several_recordings__then_a_batch_has_those_of_one) {
  Spool spool;
  ASSERT_TRUE(spool.Append(kRecording, Item(), kNoLimit));
  ASSERT_TRUE(spool.Append(kRecording, Item(), kNoLimit));
  ASSERT_TRUE(spool.Append(kOther, Item(), kNoLimit));
  ASSERT_TRUE(spool.Append(kRecording, Item(), kNoLimit));
  uint64_t credit = 1'000'000;
  EXPECT_EQ(spool.NextFrame(kNoLimit, credit)->batch().items_size(), 2);
  EXPECT_EQ(spool.NextFrame(kNoLimit, credit)->batch().items_size(), 1);
  EXPECT_EQ(spool.RecordingOf(1), kRecording);
  EXPECT_EQ(spool.RecordingOf(2), kOther);
  EXPECT_EQ(SequenceOf(spool.NextFrame(kNoLimit, credit)), 3u);
  EXPECT_EQ(spool.RecordingOf(4), ids::Ulid());
}

TEST(Spool, sent_batches__take_their_bytes_from_the_credit) {
  Spool spool;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(spool.Append(kRecording, Item(), kNoLimit));
  uint64_t credit = 2500;
  const Spool::Frame frame = spool.NextFrame(kNoLimit, credit);
  EXPECT_EQ(frame->batch().items_size(), 2);
  EXPECT_EQ(credit, 2500 - frame->batch().ByteSizeLong());
  EXPECT_FALSE(spool.CanSend(credit));
  EXPECT_TRUE(spool.CanSend(2500));
}

TEST(Spool, acknowledged_batches__are_forgotten_and_the_rest_is_sent_again) {
  Spool spool;
  uint64_t credit = 1'000'000;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(spool.Append(kRecording, Item(), kNoLimit));
    spool.NextFrame(kBatchBytes, credit);
  }
  EXPECT_TRUE(spool.Acknowledge(1));
  spool.Rewind();
  EXPECT_EQ(spool.durable_items(), 1u);
  EXPECT_EQ(spool.items(), 2u);
  EXPECT_EQ(SequenceOf(spool.NextFrame(kBatchBytes, credit)), 2u);
  EXPECT_EQ(SequenceOf(spool.NextFrame(kBatchBytes, credit)), 3u);
}

TEST(Spool, ack_of_a_batch_not_sent_again_yet__is_taken) {
  Spool spool;
  uint64_t credit = 1'000'000;
  ASSERT_TRUE(spool.Append(kRecording, Item(), kNoLimit));
  spool.NextFrame(kBatchBytes, credit);
  spool.Rewind();
  EXPECT_TRUE(spool.Acknowledge(1));
  EXPECT_TRUE(spool.empty());
  EXPECT_EQ(spool.bytes(), 0u);
}

TEST(Spool, ack_of_a_batch_never_made__is_refused) {
  Spool spool;
  uint64_t credit = 1'000'000;
  ASSERT_TRUE(spool.Append(kRecording, Item(), kNoLimit));
  EXPECT_FALSE(spool.Acknowledge(1));
  spool.NextFrame(kBatchBytes, credit);
  EXPECT_TRUE(spool.Acknowledge(1));
}

TEST(Spool, renumbered__counts_from_one_with_the_same_items) {
  Spool spool;
  uint64_t credit = 1'000'000;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(spool.Append(kRecording, Item(), kNoLimit));
    spool.NextFrame(kBatchBytes, credit);
  }
  spool.Acknowledge(2);
  spool.Renumber();
  EXPECT_EQ(spool.acknowledged_sequence(), 0u);
  EXPECT_EQ(SequenceOf(spool.NextFrame(kBatchBytes, credit)), 1u);
  EXPECT_EQ(spool.items(), 1u);
}

TEST(Spool, item_above_the_limit__is_refused) {
  Spool spool;
  ASSERT_TRUE(spool.Append(kRecording, Item(), 1500));
  EXPECT_FALSE(spool.Append(kRecording, Item(), 1500));
  EXPECT_EQ(spool.items(), 1u);
}

}  // namespace
}  // namespace flightrec::ingest
