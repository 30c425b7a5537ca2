// Threads that take slots, write records and leave them, with one reader that drains and gives the
// slots back meanwhile. Free of prebuilt C++ libraries, so that --config=tsan can run it.

#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "services/tracer/lane/layout.h"
#include "services/tracer/lane/ring.h"
#include "services/tracer/lane/slot_registry.h"

namespace flightrec::lane {
namespace {

constexpr uint32_t kSlots = 70;  // more than one word of bits
constexpr uint32_t kRingBytes = 4096;
constexpr uint32_t kThreads = 8;
constexpr uint32_t kLivesPerThread = 500;
constexpr uint64_t kCallsPerLife = 20;

struct Slot {
  SlotControl control = {};
  alignas(64) unsigned char ring[kRingBytes] = {};
  // Stands for the thread's end, which the tracer sees in /proc.
  std::atomic<bool> ended{false};
};

class Registry {
 public:
  Registry() : slots_(kSlots) {
    header_.slot_count = kSlots;
    FreeAllSlots(&header_);
  }

  FileHeader* header() { return &header_; }
  Slot& slot(uint32_t i) { return slots_[i]; }
  Ring ring(uint32_t i) { return {&slots_[i].control, slots_[i].ring, kRingBytes}; }

 private:
  FileHeader header_ = {};
  std::vector<Slot> slots_;
};

// One life of a thread: its records carry its name, 1 to kThreads * kLivesPerThread.
void Live(Registry& registry, uint32_t slot, uint32_t name) {
  SlotControl* control = &registry.slot(slot).control;
  BeginSlot(control, name * uint64_t{5});
  ActivateSlot(registry.header(), control, name, name * uint64_t{3});
  const Ring ring = registry.ring(slot);
  uint64_t reserved = __atomic_load_n(&control->head, __ATOMIC_RELAXED);
  uint64_t noted = 0;
  for (uint64_t call = 1; call <= kCallsPerLife; ++call) {
    const CallRecord record = {name, call, name + call, name, 0};
    while (!Publish(ring, &reserved, WriteLimit(ring), &noted, record)) {
    }
  }
  registry.slot(slot).ended.store(true, std::memory_order_release);
}

// Claims until every life has been lived; waits for a release, by its count, when all are taken.
void LiveAgainAndAgain(Registry& registry, uint32_t thread) {
  for (uint32_t life = 0; life < kLivesPerThread;) {
    // The first look alone: what the slot's former owner did must be visible by the claim.
    uint32_t slot = ClaimSlot(registry.header());
    while (slot == kNoSlot) {
      const uint64_t releases = Releases(registry.header());
      slot = ClaimSlot(registry.header());
      while (slot == kNoSlot && Releases(registry.header()) == releases) std::this_thread::yield();
    }
    if (life % 7 == 3) UnclaimSlot(registry.header(), slot);
    if (life % 7 != 3) Live(registry, slot, thread * kLivesPerThread + life + 1);
    ++life;
  }
}

struct Seen {
  uint64_t calls = 0;
  bool in_order = true;
};

class Reader {
 public:
  explicit Reader(Registry& registry) : registry_(registry) {}

  // Returns how many lives ended.
  uint32_t Pass() {
    uint32_t ended = 0;
    for (uint32_t slot = 0; slot < kSlots; ++slot) {
      SlotControl& control = registry_.slot(slot).control;
      if (!IsActive(control)) continue;
      if (ordinals_[control.thread_ordinal]++ == 0) ++registrations_;
      EXPECT_EQ(control.thread_pointer, control.tid * uint64_t{3});
      EXPECT_EQ(control.start_ticks, control.tid * uint64_t{5});
      const bool over = registry_.slot(slot).ended.load(std::memory_order_acquire);
      Drain(slot, control.tid);
      if (!over) continue;
      registry_.slot(slot).ended.store(false, std::memory_order_relaxed);
      ReleaseSlot(registry_.header(), &control, slot);
      ++ended;
    }
    return ended;
  }

  const std::map<uint32_t, Seen>& seen() const { return seen_; }
  uint64_t registrations() const { return registrations_; }
  uint64_t mixed() const { return mixed_; }

 private:
  void Drain(uint32_t slot, uint32_t owner) {
    CallRecord records[16];
    while (const size_t count = Consume(registry_.ring(slot), records, 16)) {
      for (size_t i = 0; i < count; ++i) {
        if (records[i].start_ticks != owner) ++mixed_;
        Seen& seen = seen_[records[i].function_index];
        if (records[i].end_ticks != ++seen.calls) seen.in_order = false;
      }
    }
  }

  Registry& registry_;
  std::map<uint32_t, Seen> seen_;  // by name
  std::map<uint64_t, int> ordinals_;
  uint64_t registrations_ = 0;
  uint64_t mixed_ = 0;
};

constexpr uint32_t ClaimedForNothing() {
  uint32_t lives = 0;
  for (uint32_t life = 0; life < kLivesPerThread; ++life) lives += life % 7 == 3 ? 1 : 0;
  return lives * kThreads;
}

TEST(RegistryStress, slots_taken_and_given_back_at_once__then_nothing_lost_and_nothing_mixed) {
  const auto registry = std::make_unique<Registry>();
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < kThreads; ++i) {
    threads.emplace_back(LiveAgainAndAgain, std::ref(*registry), i);
  }
  constexpr uint32_t kLives = kThreads * kLivesPerThread - ClaimedForNothing();
  Reader reader(*registry);
  for (uint32_t ended = 0; ended < kLives;) ended += reader.Pass();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(reader.mixed(), 0u);
  EXPECT_EQ(reader.registrations(), kLives);
  ASSERT_EQ(reader.seen().size(), kLives);
  for (const auto& [name, seen] : reader.seen()) {
    EXPECT_EQ(seen.calls, kCallsPerLife) << name;
    EXPECT_TRUE(seen.in_order) << name;
  }
}

// More threads than slots at any time: every slot is taken once.
TEST(RegistryStress, all_slots_claimed_at_once__then_each_has_one_owner_and_the_rest_none) {
  const auto registry = std::make_unique<Registry>();
  std::vector<std::atomic<int>> owners(kSlots);
  std::atomic<uint32_t> refused{0};
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (uint32_t claim = 0; claim < kSlots; ++claim) {
        const uint32_t slot = ClaimSlot(registry->header());
        if (slot == kNoSlot) {
          ++refused;
        } else {
          ++owners[slot];
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::atomic<int>& count : owners) EXPECT_EQ(count.load(), 1);
  EXPECT_EQ(refused.load(), kThreads * kSlots - kSlots);
}

// A signal handler between the ordinal and the state does it too.
TEST(Registry, activated_twice__then_the_first_ordinal_stays) {
  FileHeader header = {};
  SlotControl control = {};
  BeginSlot(&control, 3);
  ActivateSlot(&header, &control, 1, 2);
  ActivateSlot(&header, &control, 1, 2);
  EXPECT_EQ(control.thread_ordinal, 1u);
  EXPECT_TRUE(IsActive(control));
}

}  // namespace
}  // namespace flightrec::lane
