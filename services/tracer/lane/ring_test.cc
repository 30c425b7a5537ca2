#include "services/tracer/lane/ring.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <thread>
#include <vector>

#include "services/tracer/lane/layout.h"

namespace flightrec::lane {
namespace {

constexpr uint32_t kBytes = 4096;
constexpr uint32_t kRecords = kBytes / sizeof(CallRecord);

struct Memory {
  SlotControl control = {};
  alignas(64) unsigned char bytes[kBytes] = {};
  uint64_t reserved = 0;
  uint64_t noted = 0;

  Ring ring() { return {&control, bytes, kBytes}; }
  bool Write(uint64_t number) {
    const CallRecord record = {number, number + 1, number * 3, static_cast<uint32_t>(number),
                               static_cast<uint32_t>(number >> 32)};
    return Publish(ring(), &reserved, WriteLimit(ring()), &noted, record);
  }
};

TEST(Ring, written_records__then_read_in_order) {
  Memory memory;
  for (uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(memory.Write(i));
  CallRecord out[8];
  ASSERT_EQ(Consume(memory.ring(), out, 8), 3u);
  for (uint64_t i = 0; i < 3; ++i) EXPECT_EQ(out[i].start_ticks, i);
  EXPECT_EQ(Consume(memory.ring(), out, 8), 0u);
}

TEST(Ring, full__then_refuses_and_keeps_what_is_there) {
  Memory memory;
  for (uint64_t i = 0; i < kRecords; ++i) ASSERT_TRUE(memory.Write(i));
  EXPECT_FALSE(memory.Write(kRecords));
  CallRecord out[1];
  ASSERT_EQ(Consume(memory.ring(), out, 1), 1u);
  EXPECT_EQ(out[0].start_ticks, 0u);
  EXPECT_TRUE(memory.Write(kRecords));
}

TEST(Ring, handler_wrote_behind_an_unfinished_record__then_both_appear_when_it_is_complete) {
  Memory memory;
  memory.reserved += sizeof(CallRecord);  // interrupted here
  ASSERT_TRUE(memory.Write(2));           // the handler's record
  CallRecord out[8];
  EXPECT_EQ(Consume(memory.ring(), out, 8), 0u);
  Complete(memory.ring(), &memory.reserved, 0, {1, 1, 1, 1, 1});
  ASSERT_EQ(Consume(memory.ring(), out, 8), 2u);
  EXPECT_EQ(out[0].start_ticks, 1u);
  EXPECT_EQ(out[1].start_ticks, 2u);
}

TEST(Ring, head_beyond_the_ring__then_nothing_is_read) {
  Memory memory;
  memory.control.head = kBytes + sizeof(CallRecord);
  CallRecord out[8];
  EXPECT_EQ(Consume(memory.ring(), out, 8), 0u);
}

// Runs under ThreadSanitizer.
TEST(Ring, producer_and_consumer_at_once__then_every_record_is_whole) {
  constexpr uint64_t kCount = 500'000;
  Memory memory;
  uint64_t refused = 0;
  std::thread producer([&memory, &refused] {
    for (uint64_t i = 1; i <= kCount; ++i) {
      while (!memory.Write(i)) ++refused;
    }
  });
  uint64_t next = 1;
  std::vector<CallRecord> out(50);
  while (next <= kCount) {
    const size_t count = Consume(memory.ring(), out.data(), out.size());
    for (size_t i = 0; i < count; ++i, ++next) {
      ASSERT_EQ(out[i].start_ticks, next);
      ASSERT_EQ(out[i].end_ticks, next + 1);
      ASSERT_EQ(out[i].path, next * 3);
      ASSERT_EQ(out[i].function_index, static_cast<uint32_t>(next));
    }
  }
  producer.join();
}

}  // namespace
}  // namespace flightrec::lane
