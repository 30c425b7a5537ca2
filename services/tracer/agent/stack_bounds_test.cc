#include "services/tracer/agent/stack_bounds.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/mman.h>

#include <cstdint>
#include <thread>

namespace flightrec::agent {
namespace {

uint64_t Here() { return reinterpret_cast<uint64_t>(__builtin_frame_address(0)); }

uint64_t ThreadPointer() { return reinterpret_cast<uint64_t>(__builtin_thread_pointer()); }

TEST(StackBounds, thread__then_its_stack_up_to_the_thread_pointer) {
  std::thread([] {
    pthread_attr_t attributes;
    ASSERT_EQ(pthread_getattr_np(pthread_self(), &attributes), 0);
    void* low = nullptr;
    size_t size = 0;
    pthread_attr_getstack(&attributes, &low, &size);
    pthread_attr_destroy(&attributes);
    const StackBounds bounds = FindStackBounds(Here(), ThreadPointer());
    EXPECT_EQ(bounds.low, reinterpret_cast<uint64_t>(low));
    EXPECT_EQ(bounds.high, ThreadPointer());
  }).join();
}

TEST(StackBounds, coroutine_stack__then_its_own_mapping) {
  constexpr size_t kBytes = 1 << 16;
  // With a guard on both sides, so that no neighbour is merged with it.
  void* memory = mmap(nullptr, 3 * kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  const uint64_t low = reinterpret_cast<uint64_t>(memory) + kBytes;
  ASSERT_EQ(mprotect(reinterpret_cast<void*>(low), kBytes, PROT_READ | PROT_WRITE), 0);
  const StackBounds bounds = FindStackBounds(low + 100, ThreadPointer());
  EXPECT_EQ(bounds.low, low);
  EXPECT_EQ(bounds.high, low + kBytes);
  munmap(memory, 3 * kBytes);
}

TEST(StackBounds, unmapped_address__then_unknown) {
  EXPECT_EQ(FindStackBounds(1, ThreadPointer()).high, 0u);
}

}  // namespace
}  // namespace flightrec::agent
