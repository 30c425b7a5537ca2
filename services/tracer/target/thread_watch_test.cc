#include "services/tracer/target/thread_watch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <future>
#include <thread>
#include <vector>

namespace flightrec::target {
namespace {

// The tid of a thread that is alive while the tests run: this one's.
lane::LaneThread Living(uint32_t slot, uint64_t ordinal) {
  return {slot, static_cast<uint32_t>(getpid()), ordinal, /*start_ticks=*/0};
}

// Larger than any tid of Linux.
constexpr uint32_t kNoSuchTid = 1u << 23;

TEST(ThreadWatch, thread_that_lives__then_has_not_ended) {
  ThreadWatch watch(getpid());
  EXPECT_TRUE(watch.FindEnded({Living(0, 1)}, {}).empty());
}

TEST(ThreadWatch, thread_that_is_gone__then_has_ended_and_frees_its_slot) {
  ThreadWatch watch(getpid());
  const std::vector<EndedThread> ended = watch.FindEnded({Living(0, 1), {1, kNoSuchTid, 2, 0}}, {});
  ASSERT_EQ(ended.size(), 1u);
  EXPECT_EQ(ended[0].thread.ordinal, 2u);
  EXPECT_TRUE(ended[0].releasable);
}

TEST(ThreadWatch, tid_that_a_later_thread_has__then_the_older_one_has_ended) {
  ThreadWatch watch(getpid());
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
  ThreadWatch strict(getpid());
  EXPECT_FALSE(strict.FindEnded(threads, {}).at(0).releasable);
  ThreadWatch told(getpid());
  EXPECT_TRUE(told.FindEnded(threads, {refused}).at(0).releasable);
  may_end.set_value();
  other.join();
}

}  // namespace
}  // namespace flightrec::target
