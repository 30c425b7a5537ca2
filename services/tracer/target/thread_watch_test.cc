#include "services/tracer/target/thread_watch.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <future>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "common/clock/calibration.h"
#include "services/tracer/target/proc_files.h"

namespace flightrec::target {
namespace {

// The tid of a thread that is alive while the tests run: this one's.
lane::LaneThread Living(uint32_t slot, uint64_t ordinal) {
  return {slot, static_cast<uint32_t>(getpid()), ordinal, /*start_ticks=*/0};
}

clock::Calibration Rate() {
  const auto calibration = clock::Calibrate();
  EXPECT_TRUE(calibration.ok()) << calibration.status();
  return calibration.value_or(clock::Calibration());
}

// Larger than any tid of Linux.
constexpr uint32_t kNoSuchTid = 1u << 23;

TEST(ThreadWatch, thread_that_lives__then_has_not_ended) {
  ThreadWatch watch(getpid(), Rate());
  EXPECT_TRUE(watch.FindEnded({Living(0, 1)}, {}).empty());
}

TEST(ThreadWatch, thread_that_is_gone__then_has_ended_and_frees_its_slot) {
  ThreadWatch watch(getpid(), Rate());
  const std::vector<EndedThread> ended = watch.FindEnded({Living(0, 1), {1, kNoSuchTid, 2, 0}}, {});
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].thread.ordinal, 2u);
  EXPECT_TRUE(ended[0].releasable);
}

TEST(ThreadWatch, tid_that_a_later_thread_has__then_the_older_one_has_ended) {
  ThreadWatch watch(getpid(), Rate());
  const std::vector<EndedThread> ended = watch.FindEnded({Living(0, 1), Living(1, 2)}, {});
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].thread.ordinal, 1u);
}

// A thread without a slot may run on the ended one's block, unless it is known to have been
// refused.
TEST(ThreadWatch, younger_thread_without_a_slot__then_keeps_the_slot_unless_it_was_refused) {
  std::promise<uint32_t> tid;
  std::promise<void> may_end;
  std::thread other([&] {
    tid.set_value(static_cast<uint32_t>(gettid()));
    may_end.get_future().wait();
  });
  const uint32_t refused = tid.get_future().get();
  const std::vector<lane::LaneThread> threads = {{1, kNoSuchTid, 2, 0}};
  ThreadWatch strict(getpid(), Rate());
  EXPECT_FALSE(strict.FindEnded(threads, {}).at(0).releasable);
  ThreadWatch told(getpid(), Rate());
  EXPECT_TRUE(told.FindEnded(threads, {refused}).at(0).releasable);
  may_end.set_value();
  other.join();
}

// A thread of its own that calls nothing hooked.
class IdleThread {
 public:
  IdleThread() {
    std::promise<void> runs;
    thread_ = std::thread([this, &runs] {
      runs.set_value();
      may_end_.get_future().wait();
    });
    runs.get_future().wait();
  }
  ~IdleThread() {
    may_end_.set_value();
    thread_.join();
  }

 private:
  std::promise<void> may_end_;
  std::thread thread_;
};

TEST(ThreadWatch, registered_after_an_idle_thread_began_and_never_seen_alive__then_frees_its_slot) {
  const IdleThread idle;
  ThreadWatch watch(getpid(), Rate());
  // Start times count in hundredths of a second: until the next one nobody knows who was first.
  constexpr uint64_t kMostLooks = 100'000;
  uint64_t ordinal = 1;
  while (ordinal < kMostLooks &&
         !watch.FindEnded({{1, kNoSuchTid, ordinal, clock::ReadTicks()}}, {}).at(0).releasable) {
    ++ordinal;
  }
  EXPECT_LT(ordinal, kMostLooks);
}

TEST(ThreadWatch, registered_before_an_idle_thread_began__then_keeps_its_slot) {
  ThreadWatch watch(getpid(), Rate());
  const uint64_t registered = clock::ReadTicks();
  const IdleThread idle;
  EXPECT_FALSE(watch.FindEnded({{1, kNoSuchTid, 1, registered}}, {}).at(0).releasable);
}

// Neither taken for ended nor for a process without other threads.
TEST(ThreadWatch, no_file_can_be_opened__then_nothing_is_freed) {
  const clock::Calibration rate = Rate();
  rlimit limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const rlimit none = {0, limit.rlim_max};
  ThreadWatch watch(getpid(), rate);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  const std::vector<EndedThread> ended =
      watch.FindEnded({Living(0, 1), {1, kNoSuchTid, 2, clock::ReadTicks()}}, {});
  const absl::Status listed = ListThreads(getpid()).status();
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].thread.ordinal, 2u);
  EXPECT_FALSE(ended[0].releasable);
  EXPECT_EQ(listed.code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace flightrec::target
