#include "services/tracer/lane/lane_reader.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "services/tracer/lane/lane_file.h"
#include "services/tracer/lane/layout.h"
#include "services/tracer/lane/ring.h"
#include "services/tracer/lane/slot_registry.h"

namespace flightrec::lane {
namespace {

class LaneReaderTest : public testing::Test {
 protected:
  void SetUp() override {
    auto file = LaneFile::Create(path_, {2, 4096, 128}, 10, {});
    ASSERT_TRUE(file.ok()) << file.status();
    file_ = *std::move(file);
    reader_ = std::make_unique<LaneReader>(*file_);
  }
  void TearDown() override { ASSERT_TRUE(file_->Remove().ok()); }

  const std::string path_ = testing::TempDir() + "/reader.lane";
  std::unique_ptr<LaneFile> file_;
  std::unique_ptr<LaneReader> reader_;
};

TEST_F(LaneReaderTest, only_active_slots__then_listed) {
  EXPECT_TRUE(reader_->Threads().empty());
  ClaimSlot(&file_->header());
  ASSERT_EQ(ClaimSlot(&file_->header()), 1u);
  SlotControl& control = file_->control(1);
  control.tid = 9;
  control.thread_ordinal = 3;
  control.start_ticks = 100;
  control.state = kClaimed;
  EXPECT_TRUE(reader_->Threads().empty());
  control.state = kActive;
  ASSERT_EQ(reader_->Threads().size(), 1u);
  EXPECT_EQ(reader_->Threads()[0].slot, 1u);
  EXPECT_EQ(reader_->Threads()[0].tid, 9u);
  EXPECT_EQ(reader_->Threads()[0].ordinal, 3u);
  reader_->Release(1);
  EXPECT_TRUE(reader_->Threads().empty());
}

// Reading it would take memory, and on a full tmpfs be a SIGBUS.
TEST(LaneReader, slots_that_nobody_has_claimed__then_not_read) {
  std::string folder = "/dev/shm/reader_test_XXXXXX";
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/reader.lane";
  const auto file = LaneFile::Create(path, {64, 4096, 128}, 10, {});
  ASSERT_TRUE(file.ok()) << file.status();
  struct stat before, after;
  ASSERT_EQ(stat(path.c_str(), &before), 0);
  EXPECT_TRUE(LaneReader(**file).Threads().empty());
  ASSERT_EQ(stat(path.c_str(), &after), 0);
  EXPECT_EQ(before.st_blocks, after.st_blocks);
  ASSERT_TRUE((*file)->Remove().ok());
  ASSERT_EQ(rmdir(folder.c_str()), 0);
}

TEST_F(LaneReaderTest, records__then_drained_from_their_slot_only) {
  uint64_t reserved = 0;
  const Ring ring = file_->ring(1);
  uint64_t noted = 0;
  ASSERT_TRUE(Publish(ring, &reserved, WriteLimit(ring), &noted, {1, 2, 3, 4, 5}));
  std::vector<CallRecord> out(4);
  EXPECT_EQ(reader_->Drain(0, absl::MakeSpan(out)), 0u);
  ASSERT_EQ(reader_->Drain(1, absl::MakeSpan(out)), 1u);
  EXPECT_EQ(out[0].function_index, 4u);
  EXPECT_EQ(out[0].ordinal_low, 5u);
}

TEST_F(LaneReaderTest, losses__then_told_once_per_function) {
  file_->drops(0)[3] = 5;
  file_->control(0).dropped_full = 4;
  file_->control(0).dropped_depth = 1;
  const Losses first = reader_->TakeLosses(0);
  EXPECT_EQ(first.full, 4u);
  EXPECT_EQ(first.depth, 1u);
  ASSERT_EQ(first.functions.size(), 1u);
  EXPECT_EQ(first.functions[0].function_index, 3u);
  EXPECT_EQ(first.functions[0].calls, 5u);
  EXPECT_EQ(reader_->TakeLosses(0).full, 0u);
  file_->drops(0)[3] = 6;
  file_->control(0).dropped_migrated = 1;
  EXPECT_EQ(reader_->TakeLosses(0).functions[0].calls, 1u);
}

TEST_F(LaneReaderTest, open_calls__then_listed_from_the_outermost) {
  OpenCallEntry* entries = file_->shadow(0);
  entries[1] = {10, 100, 1, 1, 0};
  entries[2] = {0, 0, 0, 0, 0};  // dead, something above it lives
  entries[3] = {30, 300, 3, 2, 0};
  entries[4] = {40, 400, 99, 3, 0};  // no such function
  const std::vector<OpenCall> calls = reader_->OpenCalls(0);
  ASSERT_EQ(calls.size(), 2u);
  EXPECT_EQ(calls[0].path, 100u);
  EXPECT_EQ(calls[1].start_ticks, 30u);
}

TEST_F(LaneReaderTest, refusals__then_as_counted_by_the_threads) {
  file_->header().refused_by_limit = 1;
  file_->header().refused_by_memory = 2;
  file_->header().refused_calls = 3;
  EXPECT_EQ(reader_->refusals().by_limit, 1u);
  EXPECT_EQ(reader_->refusals().by_memory, 2u);
  EXPECT_EQ(reader_->refusals().calls, 3u);
}

TEST_F(LaneReaderTest, filtered_calls_and_muting__then_reach_the_slot_and_back) {
  const std::string path = testing::TempDir() + "/filters.lane";
  const auto file = LaneFile::Create(path, {2, 4096, 128}, 10, {}, kFilters);
  ASSERT_TRUE(file.ok()) << file.status();
  LaneReader reader(**file);
  (*file)->filtered(1)[7] = 5;
  const Losses losses = reader.TakeLosses(1);
  ASSERT_EQ(losses.filtered.size(), 1u);
  EXPECT_EQ(losses.filtered[0].function_index, 7u);
  EXPECT_EQ(losses.filtered[0].calls, 5u);
  EXPECT_TRUE(losses.functions.empty());
  EXPECT_TRUE(reader.TakeLosses(1).filtered.empty());
  (*file)->control(1).own_call_limit = 0x1000;
  reader.SetMuted(1, false);
  EXPECT_EQ((*file)->control(1).call_limit, 0x1000u);
  reader.SetMuted(1, true);
  EXPECT_EQ((*file)->control(1).call_limit, 0u);
  ASSERT_TRUE((*file)->Remove().ok());
}

}  // namespace
}  // namespace flightrec::lane
