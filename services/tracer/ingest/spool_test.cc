#include "services/tracer/ingest/spool.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace flightrec::tracer {
namespace {

constexpr uint64_t kLimit = 10000;

ingest::v1::Item ChunkOf(size_t bytes) {
  ingest::v1::Item item;
  item.mutable_chunk()->set_data(std::string(bytes, 'x'));
  return item;
}

uint64_t NextSequence(const Spool& spool) {
  return spool.Next() == nullptr ? 0 : spool.Next()->batch().sequence();
}

TEST(Spool, items_added__then_are_numbered_from_one_and_sent_in_order) {
  Spool spool(kLimit);
  ASSERT_TRUE(spool.Add(ChunkOf(10), SpoolRoom::kLimit));
  ASSERT_TRUE(spool.Add(ChunkOf(10), SpoolRoom::kLimit));
  EXPECT_EQ(NextSequence(spool), 1u);
  spool.MarkSent();
  EXPECT_EQ(NextSequence(spool), 2u);
  spool.MarkSent();
  EXPECT_EQ(NextSequence(spool), 0u);
}

TEST(Spool, limit_reached__then_refuses_chunks_and_keeps_what_it_has) {
  Spool spool(kLimit);
  ASSERT_TRUE(spool.Add(ChunkOf(kLimit - 100), SpoolRoom::kLimit));
  EXPECT_FALSE(spool.Add(ChunkOf(200), SpoolRoom::kLimit));
  EXPECT_TRUE(spool.Add(ChunkOf(200), SpoolRoom::kReserve));
  EXPECT_EQ(spool.last_sequence(), 2u);
}

TEST(Spool, acknowledged__then_gives_room_back_and_counts_it_as_durable) {
  Spool spool(kLimit);
  ASSERT_TRUE(spool.Add(ChunkOf(kLimit - 100), SpoolRoom::kLimit));
  const uint64_t bytes = spool.bytes();
  spool.MarkSent();
  spool.Forget(1);
  EXPECT_EQ(spool.bytes(), 0u);
  EXPECT_EQ(spool.durable_bytes(), bytes);
  EXPECT_EQ(spool.durable_sequence(), 1u);
  EXPECT_TRUE(spool.Add(ChunkOf(kLimit - 100), SpoolRoom::kLimit));
}

TEST(Spool, stream_breaks__then_only_what_was_not_acknowledged_is_sent_again) {
  Spool spool(kLimit);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(spool.Add(ChunkOf(10), SpoolRoom::kLimit));
  for (int i = 0; i < 3; ++i) spool.MarkSent();
  spool.Forget(1);
  spool.Rewind();
  EXPECT_EQ(NextSequence(spool), 2u);
}

TEST(Spool, welcome_names_more_than_was_sent_on_this_stream__then_next_moves_along) {
  Spool spool(kLimit);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(spool.Add(ChunkOf(10), SpoolRoom::kLimit));
  spool.Forget(2);
  EXPECT_EQ(NextSequence(spool), 3u);
}

}  // namespace
}  // namespace flightrec::tracer
