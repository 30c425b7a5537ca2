#include "services/tracer/drain/drain_loop.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/types/span.h"
#include "common/chunk/codec.h"
#include "common/clock/clock.h"
#include "common/path/path.h"
#include "services/tracer/lane/lane_file.h"
#include "services/tracer/lane/ring.h"

namespace flightrec::drain {
namespace {

// Keeps decoded chunks; refuses those it is told to.
class RecordingSink final : public DrainSink {
 public:
  void OnThread(const DrainedThread& thread) override {
    absl::MutexLock lock(&mutex_);
    threads_.push_back(thread);
  }
  bool OnChunk(EncodedChunk chunk) override {
    absl::MutexLock lock(&mutex_);
    if (refuse_) return false;
    Keep(chunk);
    return true;
  }
  void OnFinalChunk(EncodedChunk chunk) override {
    absl::MutexLock lock(&mutex_);
    Keep(chunk);
  }
  void RefuseAll() {
    absl::MutexLock lock(&mutex_);
    refuse_ = true;
  }
  void AwaitChunks(size_t count) {
    const auto there = [&] {
      mutex_.AssertReaderHeld();
      return chunks_.size() >= count;
    };
    absl::MutexLock lock(&mutex_, absl::Condition(&there));
  }
  std::vector<chunk::CallChunk> chunks() {
    absl::MutexLock lock(&mutex_);
    return chunks_;
  }
  std::vector<DrainedThread> threads() {
    absl::MutexLock lock(&mutex_);
    return threads_;
  }

 private:
  void Keep(const EncodedChunk& encoded) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    absl::StatusOr<chunk::CallChunk> chunk = chunk::DecodeCallChunk(encoded.bytes);
    ASSERT_TRUE(chunk.ok()) << chunk.status();
    chunks_.push_back(*std::move(chunk));
  }

  absl::Mutex mutex_;
  bool refuse_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<DrainedThread> threads_ ABSL_GUARDED_BY(mutex_);
  std::vector<chunk::CallChunk> chunks_ ABSL_GUARDED_BY(mutex_);
};

// A thread of the traced process, as its agent would write it.
class FakeThread {
 public:
  FakeThread(const lane::LaneFile& file, uint32_t slot, uint32_t tid, uint64_t ordinal)
      : ring_(file.ring(slot)), control_(file.control(slot)) {
    control_.tid = tid;
    control_.thread_ordinal = ordinal;
    reserved_ = control_.head;
    file.header().free_slots[0] &= ~(uint64_t{1} << slot);
    __atomic_store_n(&control_.state, lane::kActive, __ATOMIC_RELEASE);
  }

  // False: the lane is full.
  bool Call() {
    const uint64_t start = 1000 + 100 * uint64_t{next_};
    const lane::CallRecord record = {start, start + 60, ExtendPath(kRootPath, 500), 0, next_};
    uint64_t noted = 0;
    if (!lane::Publish(ring_, &reserved_, lane::WriteLimit(ring_), &noted, record)) return false;
    ++next_;
    return true;
  }

 private:
  const lane::Ring ring_;
  lane::SlotControl& control_;
  uint64_t reserved_ = 0;
  uint32_t next_ = 1;
};

// Of a program that fills its lane as soon as there is room.
class BusySink final : public DrainSink {
 public:
  explicit BusySink(FakeThread& thread) : thread_(thread) {}

  void OnThread(const DrainedThread&) override {}
  bool OnChunk(EncodedChunk) override {
    while (thread_.Call()) {
    }
    return true;
  }
  void OnFinalChunk(EncodedChunk) override {}

 private:
  FakeThread& thread_;
};

class DrainLoopTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kRingBytes = 64 << 10;
  static constexpr uint32_t kLaneCalls = kRingBytes / sizeof(lane::CallRecord);

  void SetUp() override {
    auto file = lane::LaneFile::Create(path_, {4, kRingBytes, 128}, 1, {});
    ASSERT_TRUE(file.ok()) << file.status();
    file_ = *std::move(file);
    reader_ = std::make_unique<lane::LaneReader>(*file_);
  }
  void TearDown() override { ASSERT_TRUE(file_->Remove().ok()); }

  void MakeLoop(DrainOptions options = {}) { MakeLoop(options, sink_); }
  void MakeLoop(DrainOptions options, DrainSink& sink) {
    options.lane_calls = kLaneCalls;
    ProcessIdentity process;
    process.process_id = 7;
    process.functions = {500};
    loop_ = std::make_unique<DrainLoop>(
        *reader_, process, options, clock::RealClock(),
        [this](const std::vector<lane::LaneThread>& threads) {
          absl::MutexLock lock(&mutex_);
          std::vector<uint64_t> ended;
          for (const lane::LaneThread& thread : threads) {
            if (dead_.count(thread.tid) > 0) ended.push_back(thread.ordinal);
          }
          return ended;
        },
        sink);
  }

  void Kill(uint32_t tid) {
    absl::MutexLock lock(&mutex_);
    dead_.insert(tid);
  }

  const std::string path_ = ::testing::TempDir() + "/drain_loop_test.lane";
  std::unique_ptr<lane::LaneFile> file_;
  std::unique_ptr<lane::LaneReader> reader_;
  RecordingSink sink_;
  absl::Mutex mutex_;
  std::set<uint32_t> dead_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<DrainLoop> loop_;
};

TEST_F(DrainLoopTest, calls_of_two_threads__arrive_once_each_with_a_final_chunk) {
  MakeLoop({.max_calls_per_chunk = 1000, .max_chunk_age = absl::Milliseconds(2)});
  loop_->Start();
  constexpr uint64_t kCalls = 200'000;
  const auto run = [&](uint32_t slot) {
    FakeThread thread(*file_, slot, 100 + slot, slot + 1);
    for (uint64_t i = 0; i < kCalls;) {
      if (thread.Call()) ++i;
    }
  };
  std::thread first(run, 0);
  std::thread second(run, 1);
  first.join();
  second.join();
  const DrainTotals totals = loop_->Finish();
  EXPECT_EQ(totals.calls, 2 * kCalls);
  EXPECT_EQ(totals.threads, 2u);
  EXPECT_EQ(totals.lost(), 0u);
  std::map<ids::ThreadId, uint64_t> calls;
  std::map<ids::ThreadId, uint64_t> chunks;
  for (const chunk::CallChunk& chunk : sink_.chunks()) {
    const ids::ThreadId thread = chunk.header.thread_id;
    EXPECT_EQ(chunk.header.chunk_ordinal, chunks[thread]++);
    for (const uint64_t ordinal : chunk.calls.ordinal) ASSERT_EQ(ordinal, ++calls[thread]);
  }
  EXPECT_EQ(calls.size(), 2u);
  EXPECT_TRUE(sink_.chunks().back().header.is_final);
}

TEST_F(DrainLoopTest, few_calls__are_sealed_by_age) {
  MakeLoop({.max_chunk_age = absl::Milliseconds(1)});
  FakeThread thread(*file_, 0, 100, 1);
  ASSERT_TRUE(thread.Call());
  loop_->Start();
  sink_.AwaitChunks(1);
  EXPECT_EQ(sink_.chunks()[0].calls.size(), 1u);
  EXPECT_FALSE(sink_.chunks()[0].header.is_final);
  EXPECT_EQ(sink_.threads().at(0).tid, 100u);
}

TEST_F(DrainLoopTest, thread_that_ends__gets_its_final_chunk_and_frees_its_slot) {
  MakeLoop({.thread_check_interval = absl::Milliseconds(1)});
  FakeThread thread(*file_, 2, 100, 1);
  ASSERT_TRUE(thread.Call());
  loop_->Start();
  Kill(100);
  sink_.AwaitChunks(2);
  EXPECT_TRUE(sink_.chunks()[1].header.is_final);
  loop_->Finish();
  EXPECT_EQ(file_->control(2).state, lane::kFree);
  EXPECT_EQ(sink_.chunks().size(), 2u);
}

TEST_F(DrainLoopTest, calls_open_at_the_end__are_told_as_never_ended) {
  MakeLoop();
  FakeThread thread(*file_, 0, 100, 1);
  lane::OpenCallEntry* shadow = file_->shadow(0);
  shadow[1] = {900, ExtendPath(kRootPath, 500), 0, 41, 0};
  loop_->Start();
  const DrainTotals totals = loop_->Finish();
  EXPECT_EQ(totals.open_calls, 1u);
  ASSERT_EQ(sink_.chunks().size(), 1u);
  ASSERT_EQ(sink_.chunks()[0].open_calls.size(), 1u);
  EXPECT_EQ(sink_.chunks()[0].open_calls[0].ordinal, 41u);
}

TEST_F(DrainLoopTest, sink_without_room__makes_calls_lost_in_the_final_chunk) {
  sink_.RefuseAll();
  MakeLoop();
  FakeThread thread(*file_, 0, 100, 1);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(thread.Call());
  loop_->Start();
  const DrainTotals totals = loop_->Finish();
  EXPECT_EQ(totals.lost_spool_full, 10u);
  EXPECT_EQ(totals.calls, 0u);
  EXPECT_EQ(totals.lost_by_function.at(500), 10u);
  ASSERT_EQ(sink_.chunks().size(), 1u);
  EXPECT_EQ(sink_.chunks()[0].header.lost_before_total, 10u);
  EXPECT_EQ(sink_.chunks()[0].lost_before, (std::vector<chunk::LostCalls>{{500, 10}}));
}

TEST_F(DrainLoopTest, losses_of_the_lane__are_in_totals_and_chunk) {
  MakeLoop();
  FakeThread thread(*file_, 0, 100, 1);
  ASSERT_TRUE(thread.Call());
  file_->control(0).dropped_full = 3;
  file_->drops(0)[0] = 3;
  loop_->Start();
  const DrainTotals totals = loop_->Finish();
  EXPECT_EQ(totals.lost_lane_full, 3u);
  EXPECT_EQ(totals.lost_by_function.at(500), 3u);
  EXPECT_EQ(sink_.chunks()[0].header.lost_before_total, 3u);
}

TEST_F(DrainLoopTest, program_runs_on_and_fills_its_lane__then_finish_takes_a_lanes_worth) {
  FakeThread thread(*file_, 0, 100, 1);
  BusySink busy(thread);
  MakeLoop({.max_calls_per_chunk = 100}, busy);
  while (thread.Call()) {
  }
  loop_->Start();
  EXPECT_GE(loop_->Finish().calls, kLaneCalls - 1);
}

TEST_F(DrainLoopTest, finished_without_start__ends) {
  MakeLoop();
  EXPECT_EQ(loop_->Finish().threads, 0u);
}

}  // namespace
}  // namespace flightrec::drain
