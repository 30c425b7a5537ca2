#include "services/tracer/drain/thread_drain.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "absl/status/statusor.h"
#include "common/chunk/codec.h"
#include "common/chunk/format.h"
#include "common/path/path.h"

namespace flightrec::drain {
namespace {

constexpr absl::Duration kNow = absl::Seconds(100);

class ThreadDrainTest : public ::testing::Test {
 protected:
  ThreadDrainTest() {
    process_.process_id = 77;
    process_.calibration = {.ref_ticks = 5, .ref_epoch_ns = 6, .ns_per_tick_q32 = 7};
    process_.functions = {1000, 1001, 1002};
  }

  static lane::CallRecord Record(uint32_t ordinal, uint32_t function, uint64_t start,
                                 uint64_t end) {
    return {start, end, ExtendPath(kRootPath, 1000 + function), function, ordinal};
  }

  chunk::CallChunk Sealed() {
    const absl::optional<EncodedChunk> encoded = drain_.Seal(1);
    EXPECT_TRUE(encoded.has_value());
    return Decoded(*encoded);
  }

  static chunk::CallChunk Decoded(const EncodedChunk& encoded) {
    absl::StatusOr<chunk::CallChunk> chunk = chunk::DecodeCallChunk(encoded.bytes);
    EXPECT_TRUE(chunk.ok()) << chunk.status();
    EXPECT_EQ(chunk->calls.size(), encoded.calls);
    return *std::move(chunk);
  }

  ProcessIdentity process_;
  ThreadDrain drain_{process_, {.thread_id = 88, .tid = 9, .ordinal = 1}};
};

TEST_F(ThreadDrainTest, records__become_a_chunk_with_the_identity_of_the_thread) {
  drain_.Add({Record(2, 1, 20, 30), Record(1, 0, 10, 40)}, kNow);
  const chunk::CallChunk chunk = Sealed();
  EXPECT_EQ(chunk.header.process_id, 77u);
  EXPECT_EQ(chunk.header.thread_id, 88u);
  EXPECT_EQ(chunk.header.tid, 9u);
  EXPECT_EQ(chunk.header.chunk_ordinal, 0u);
  EXPECT_EQ(chunk.header.calibration, process_.calibration);
  EXPECT_FALSE(chunk.header.is_final);
  EXPECT_EQ(chunk.calls.ordinal, (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(chunk.calls.duration_ticks, (std::vector<uint64_t>{30, 10}));
  EXPECT_EQ(chunk.paths[0].function_id, 1000u);
  EXPECT_EQ(drain_.first_added(), kNow);
}

TEST_F(ThreadDrainTest, nothing_added__seals_nothing) {
  EXPECT_FALSE(drain_.Seal(1).has_value());
  EXPECT_EQ(drain_.totals().chunks, 0u);
}

TEST_F(ThreadDrainTest, record_of_an_unknown_function__is_counted_as_lost) {
  drain_.Add({Record(1, 3, 10, 20), Record(2, 0, 30, 40)}, kNow);
  const chunk::CallChunk chunk = Sealed();
  EXPECT_EQ(chunk.calls.size(), 1u);
  EXPECT_EQ(chunk.header.lost_before_total, 1u);
  EXPECT_EQ(drain_.totals().lost_malformed, 1u);
}

TEST_F(ThreadDrainTest, losses__are_told_once) {
  lane::Losses losses;
  losses.full = 4;
  losses.depth = 2;
  losses.functions = {{1, 5}, {2, 1}};
  drain_.AddLosses(losses);
  drain_.Add({Record(1, 0, 10, 20)}, kNow);
  const chunk::CallChunk first = Sealed();
  EXPECT_EQ(first.header.lost_before_total, 6u);
  EXPECT_EQ(first.lost_before, (std::vector<chunk::LostCalls>{{1001, 5}, {1002, 1}}));
  drain_.Add({Record(2, 0, 30, 40)}, kNow);
  EXPECT_EQ(Sealed().header.lost_before_total, 0u);
  EXPECT_EQ(drain_.totals().lost_lane_full, 4u);
  EXPECT_EQ(drain_.totals().lost_too_deep, 2u);
}

TEST_F(ThreadDrainTest, causes_read_before_functions__are_told_with_their_functions) {
  lane::Losses early;
  early.full = 4;
  early.functions = {{1, 9}};
  drain_.AddLosses(early);
  drain_.Add({Record(1, 0, 10, 20)}, kNow);
  EXPECT_EQ(Sealed().header.lost_before_total, 9u);
  lane::Losses late;
  late.full = 7;
  late.functions = {{1, 2}};
  drain_.AddLosses(late);
  const chunk::CallChunk last = Decoded(drain_.SealFinal({}, 1));
  EXPECT_EQ(last.header.lost_before_total, 2u);
  EXPECT_EQ(last.lost_before, (std::vector<chunk::LostCalls>{{1001, 2}}));
  EXPECT_EQ(drain_.totals().lost(), 11u);
}

TEST_F(ThreadDrainTest, causes_behind_their_functions_at_the_end__then_nothing_is_made_up) {
  lane::Losses losses;
  losses.full = 1;
  losses.functions = {{1, 2}};
  drain_.AddLosses(losses);
  EXPECT_EQ(Decoded(drain_.SealFinal({}, 1)).header.lost_before_total, 2u);
}

TEST_F(ThreadDrainTest, filtered_calls_of_two_chunks__are_told_in_their_own) {
  lane::Losses losses;
  losses.filtered = {{1, 5}};
  drain_.AddLosses(losses);
  drain_.Add({Record(1, 0, 10, 20)}, kNow);
  EXPECT_EQ(Sealed().filtered_before, (std::vector<chunk::LostCalls>{{1001, 5}}));
  losses.filtered = {{1, 2}};
  drain_.AddLosses(losses);
  drain_.Add({Record(2, 0, 30, 40)}, kNow);
  EXPECT_EQ(Sealed().filtered_before, (std::vector<chunk::LostCalls>{{1001, 2}}));
}

TEST_F(ThreadDrainTest, filtered_calls__are_told_once_and_are_not_lost) {
  lane::Losses losses;
  losses.filtered = {{1, 5}, {2, 1}};
  drain_.AddLosses(losses);
  drain_.Add({Record(1, 0, 10, 20)}, kNow);
  const chunk::CallChunk first = Sealed();
  EXPECT_EQ(first.filtered_before, (std::vector<chunk::LostCalls>{{1001, 5}, {1002, 1}}));
  EXPECT_EQ(first.header.lost_before_total, 0u);
  drain_.TakeBack();
  const chunk::CallChunk last = Decoded(drain_.SealFinal({}, 1));
  EXPECT_EQ(last.filtered_before, first.filtered_before);
  EXPECT_EQ(drain_.totals().filtered, 6u);
}

TEST_F(ThreadDrainTest, coarse_clock__then_chunks_tell_the_error_since_their_first_start) {
  process_.clock_error = [](uint64_t since) { return since + 1000; };
  drain_.Add({Record(2, 1, 20, 30), Record(1, 0, 10, 40)}, kNow);
  EXPECT_EQ(Sealed().header.clock_error_ticks, 1010u);
  drain_.SetOpenCalls({{5, ExtendPath(kRootPath, 1002), 2, 1}});
  drain_.Add({Record(3, 0, 30, 40)}, kNow);
  EXPECT_EQ(Sealed().header.clock_error_ticks, 1005u);
}

TEST_F(ThreadDrainTest, chunk_taken_back__is_lost_in_the_next_which_takes_its_place) {
  lane::Losses losses;
  losses.full = 1;
  losses.functions = {{0, 1}};
  drain_.AddLosses(losses);
  drain_.Add({Record(1, 0, 10, 20), Record(2, 1, 30, 40), Record(3, 1, 50, 60)}, kNow);
  Sealed();
  drain_.TakeBack();
  drain_.Add({Record(4, 2, 70, 80)}, kNow);
  const chunk::CallChunk chunk = Sealed();
  EXPECT_EQ(chunk.header.chunk_ordinal, 0u);
  EXPECT_EQ(chunk.header.lost_before_total, 4u);
  EXPECT_EQ(chunk.lost_before, (std::vector<chunk::LostCalls>{{1000, 2}, {1001, 2}}));
  EXPECT_EQ(drain_.totals().calls, 1u);
  EXPECT_EQ(drain_.totals().chunks, 1u);
  EXPECT_EQ(drain_.totals().lost_spool_full, 3u);
  EXPECT_EQ(drain_.totals().lost(), 4u);
}

TEST_F(ThreadDrainTest, open_calls__are_in_the_chunk_that_they_precede) {
  drain_.SetOpenCalls({{5, ExtendPath(kRootPath, 1002), 2, 1}});
  drain_.Add({Record(2, 0, 10, 20)}, kNow);
  const chunk::CallChunk chunk = Sealed();
  const chunk::OpenCall expected = {1, ExtendPath(kRootPath, 1002), 1002, 5};
  EXPECT_EQ(chunk.open_calls, std::vector<chunk::OpenCall>{expected});
  drain_.Add({Record(3, 0, 30, 40)}, kNow);
  EXPECT_TRUE(Sealed().open_calls.empty());
}

TEST_F(ThreadDrainTest, final_chunk__tells_what_never_ended_and_what_was_lost) {
  drain_.Add({Record(3, 1, 30, 40)}, kNow);
  Sealed();
  lane::Losses losses;
  losses.migrated = 2;
  drain_.AddLosses(losses);
  const std::vector<lane::OpenCall> open = {{10, ExtendPath(kRootPath, 1000), 0, 1},
                                            {20, 4242, 1, 2}};
  const chunk::CallChunk chunk = Decoded(drain_.SealFinal(open, 1));
  EXPECT_TRUE(chunk.header.is_final);
  EXPECT_EQ(chunk.header.chunk_ordinal, 1u);
  EXPECT_EQ(chunk.header.lost_before_total, 2u);
  ASSERT_EQ(chunk.open_calls.size(), 2u);
  EXPECT_EQ(chunk.open_calls[1], (chunk::OpenCall{2, 4242, 1001, 20}));
  EXPECT_EQ(drain_.totals().open_calls, 2u);
}

TEST_F(ThreadDrainTest, calls_that_do_not_compress__come_in_several_chunks) {
  std::vector<lane::CallRecord> records;
  std::mt19937_64 random(1);
  for (uint32_t i = 1; i <= chunk::kMaxCallsPerChunk; ++i) {
    records.push_back({random(), random(), ExtendPath(kRootPath, 1000), 0, i});
  }
  drain_.Add(records, kNow);
  std::vector<uint64_t> ordinals;
  for (uint64_t i = 0; drain_.call_count() > 0; ++i) {
    const chunk::CallChunk chunk = Sealed();
    EXPECT_EQ(chunk.header.chunk_ordinal, i);
    ordinals.insert(ordinals.end(), chunk.calls.ordinal.begin(), chunk.calls.ordinal.end());
  }
  EXPECT_GT(drain_.totals().chunks, 1u);
  EXPECT_EQ(drain_.totals().calls, chunk::kMaxCallsPerChunk);
  EXPECT_EQ(ordinals.size(), chunk::kMaxCallsPerChunk);
}

}  // namespace
}  // namespace flightrec::drain
