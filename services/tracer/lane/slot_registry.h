// Who has which slot of a lane file: threads claim free slots and show what they are; the tracer
// gives the slots of ended threads back.
//
// Any number of threads claim at once; one reader releases. Freestanding. Each function states its
// memory order and its pair. A slot's memory, and when its thread has ended, are the callers' to
// know.
#ifndef SERVICES_TRACER_LANE_SLOT_REGISTRY_H_
#define SERVICES_TRACER_LANE_SLOT_REGISTRY_H_

#include <stdint.h>

#include "services/tracer/lane/layout.h"

namespace flightrec::lane {

inline constexpr uint32_t kNoSlot = ~uint32_t{0};
inline constexpr uint32_t kSlotsPerWord = 64;

// Before the file is shared.
inline void FreeAllSlots(FileHeader* header) {
  for (uint32_t slot = 0; slot < header->slot_count; ++slot) {
    header->free_slots[slot / kSlotsPerWord] |= uint64_t{1} << (slot % kSlotsPerWord);
  }
}

// Takes the lowest free slot, whose memory is the warmest. kNoSlot: all are taken.
inline uint32_t ClaimSlot(FileHeader* header) {
  const uint32_t words = (header->slot_count + kSlotsPerWord - 1) / kSlotsPerWord;
  for (uint32_t word = 0; word < words; ++word) {
    uint64_t* free_slots = &header->free_slots[word];
    uint64_t bits = __atomic_load_n(free_slots, __ATOMIC_RELAXED);
    while (bits != 0) {
      // Acquire: pairs with the release in UnclaimSlot; the slot's former owner and the tracer have
      // finished with it.
      if (__atomic_compare_exchange_n(free_slots, &bits, bits & (bits - 1), false, __ATOMIC_ACQUIRE,
                                      __ATOMIC_RELAXED)) {
        return word * kSlotsPerWord + static_cast<uint32_t>(__builtin_ctzll(bits));
      }
    }
  }
  return kNoSlot;
}

// False: no thread has claimed it, so it may have no memory.
inline bool IsClaimed(const FileHeader& header, uint32_t slot) {
  // Relaxed: IsActive orders what is read of the slot.
  const uint64_t bits = __atomic_load_n(&header.free_slots[slot / kSlotsPerWord], __ATOMIC_RELAXED);
  return (bits >> (slot % kSlotsPerWord) & 1) == 0;
}

// Grows with every release: whoever found all slots taken looks again when it has changed. To be
// read before the look.
inline uint64_t Releases(const FileHeader* header) {
  // Acquire: pairs with the release in ReleaseSlot, so that the look sees the slot.
  return __atomic_load_n(&header->slot_releases, __ATOMIC_ACQUIRE);
}

// Shows a claimed slot to the tracer. Repeatable by the thread and its signal handlers: the first
// ordinal stays.
inline void ActivateSlot(FileHeader* header, SlotControl* control, uint32_t tid,
                         uint64_t thread_pointer) {
  control->tid = tid;
  control->thread_pointer = thread_pointer;
  // Relaxed: the number only has to be unique and in order.
  const uint64_t ordinal = 1 + __atomic_fetch_add(&header->thread_ordinals, 1, __ATOMIC_RELAXED);
  uint64_t none = 0;
  __atomic_compare_exchange_n(&control->thread_ordinal, &none, ordinal, false, __ATOMIC_RELAXED,
                              __ATOMIC_RELAXED);
  // Release: pairs with the acquire in IsActive.
  __atomic_store_n(&control->state, kActive, __ATOMIC_RELEASE);
}

// What a claimed slot needs before its owner can be interrupted by its own signal handlers.
// `ticks` are read before the owner can start a thread that inherits the slot's block.
inline void BeginSlot(SlotControl* control, uint64_t ticks) {
  control->start_ticks = ticks;
  control->thread_ordinal = 0;
  __atomic_store_n(&control->state, kClaimed, __ATOMIC_RELAXED);
}

// Then the fields that ActivateSlot wrote may be read.
inline bool IsActive(const SlotControl& control) {
  return __atomic_load_n(&control.state, __ATOMIC_ACQUIRE) == kActive;
}

// Gives a slot back that was claimed for nothing: nobody is told to look again. Does not touch the
// slot, which may have no memory.
inline void UnclaimSlot(FileHeader* header, uint32_t slot) {
  // Release: pairs with the acquire in ClaimSlot.
  __atomic_fetch_or(&header->free_slots[slot / kSlotsPerWord],
                    uint64_t{1} << (slot % kSlotsPerWord), __ATOMIC_RELEASE);
}

// Gives the slot of an ended thread to the next one.
inline void ReleaseSlot(FileHeader* header, SlotControl* control, uint32_t slot) {
  __atomic_store_n(&control->state, kFree, __ATOMIC_RELAXED);
  UnclaimSlot(header, slot);
  // Release: pairs with the acquire in Releases.
  __atomic_fetch_add(&header->slot_releases, 1, __ATOMIC_RELEASE);
}

}  // namespace flightrec::lane

#endif  // SERVICES_TRACER_LANE_SLOT_REGISTRY_H_
