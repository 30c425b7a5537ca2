#include "services/tracer/agent/registration.h"

#include "common/path/path.h"
#include "services/tracer/agent/stack_bounds.h"
#include "services/tracer/agent/system_call.h"
#include "services/tracer/agent/thread.h"

namespace flightrec::agent {
namespace {

constexpr uint64_t kPopulateWrite = 23;  // MADV_POPULATE_WRITE, Linux 5.14
constexpr int64_t kInvalidArgument = -22;

// False: no memory. Older kernels don't know the advice; then the memory comes
// when it is touched.
bool Populate(uint64_t address, uint64_t bytes) {
  const int64_t result = SystemCall(kSysMadvise, address, bytes, kPopulateWrite);
  return result == 0 || result == kInvalidArgument;
}

uint64_t Min(uint64_t a, uint64_t b) { return a < b ? a : b; }

void SetGsBase(ThreadBlock* block) { asm volatile("wrgsbase %0" : : "r"(block) : "memory"); }

uint64_t ClaimSlot(const AgentState& state) {
  for (uint64_t slot = 0; slot < state.slot_count; ++slot) {
    auto* control = reinterpret_cast<lane::SlotControl*>(state.slots + slot * state.slot_bytes);
    // A page of a file hole reads as zeros, so looking takes no memory.
    if (__atomic_load_n(&control->state, __ATOMIC_RELAXED) != lane::kFree) {
      continue;
    }
    if (!Populate(state.slots + slot * state.slot_bytes, state.drops_offset + state.drops_bytes)) {
      return ~uint64_t{0};
    }
    uint32_t expected = lane::kFree;
    // Acquire: pairs with the tracer's release of kFree; it has finished with
    // what the slot's former thread left.
    if (__atomic_compare_exchange_n(&control->state, &expected, lane::kClaimed, false,
                                    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
      return slot;
    }
  }
  return state.slot_count;
}

// Leaves the stack of the slot's former thread empty.
void ClearShadow(const AgentState& state, ThreadBlock& block) {
  ShadowEntry* root = At(block.shadow_base);
  for (ShadowEntry* entry = root + 1; entry < At(block.top); ++entry) {
    entry->slot = 0;
    Shared(state, entry)->start_ticks = 0;
  }
}

StackBounds OwnStack(const AgentState& state, uint64_t thread_pointer, uint64_t stack) {
  // The first thread's stack grows: its present mapping is too small.
  if (state.main_thread_stack_low <= stack && stack < state.main_thread_stack_high) {
    return {state.main_thread_stack_low, state.main_thread_stack_high};
  }
  return FindStackBounds(stack, thread_pointer);
}

bool FillSlot(const AgentState& state, uint64_t slot, ThreadBlock& block, uint64_t thread_pointer,
              uint64_t stack) {
  const uint64_t base = state.slots + slot * state.slot_bytes;
  auto* control = reinterpret_cast<lane::SlotControl*>(base);
  block.control = base;
  block.shadow_base = state.shadows + slot * state.slot_bytes;
  if (block.top != 0) ClearShadow(state, block);
  block.top = block.shadow_base + sizeof(ShadowEntry);
  if (block.shadow_limit == 0) block.shadow_limit = block.shadow_base;
  if (block.shadow_limit == block.shadow_base && !GrowShadow(state, block)) {
    return false;
  }
  ShadowEntry* root = At(block.shadow_base);
  root->slot = kRootSlot;
  Shared(state, root)->path = kRootPath;
  if (control->ring_populated == 0 && !GrowRing(state, block)) return false;
  const uint64_t head = __atomic_load_n(&control->head, __ATOMIC_RELAXED);
  block.reserved = head;
  block.ring_limit = head;  // the first exit finds out
  block.next_ordinal = 1;
  block.kind = kRegistered;
  const StackBounds bounds = OwnStack(state, thread_pointer, stack);
  block.stack_low = bounds.low;
  block.stack_high = bounds.high;
  block.owner = thread_pointer;
  control->tid = static_cast<uint32_t>(SystemCall(kSysGettid));
  control->thread_pointer = thread_pointer;
  control->start_ticks = ReadTicks();
  // Relaxed: the number only has to be unique and in order.
  control->thread_ordinal =
      1 + __atomic_fetch_add(&Header(state)->thread_ordinals, 1, __ATOMIC_RELAXED);
  // Release: pairs with the tracer's acquire of kActive.
  __atomic_store_n(&control->state, lane::kActive, __ATOMIC_RELEASE);
  return true;
}

// Thread pointers of living threads differ, so a refused block with this one is
// a dead thread's.
ThreadBlock* Refuse(const AgentState& state, uint64_t thread_pointer, uint64_t* count) {
  __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
  for (uint64_t i = 0; i < kRefusedBlocks; ++i) {
    ThreadBlock* block = BlockAt(state, kFirstSlotBlock + state.slot_count + i);
    uint64_t expected = 0;
    if (__atomic_compare_exchange_n(&block->owner, &expected, thread_pointer, false,
                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED) ||
        expected == thread_pointer) {
      block->kind = kRefused;
      SetGsBase(block);
      return block;
    }
  }
  return nullptr;
}

}  // namespace

bool GrowShadow(const AgentState& state, ThreadBlock& block) {
  const uint64_t end = block.shadow_base + state.shadow_entries * sizeof(ShadowEntry);
  const uint64_t bytes = Min(kPopulateBytes, end - block.shadow_limit);
  if (bytes == 0) return false;
  const auto shared = reinterpret_cast<uint64_t>(Shared(state, At(block.shadow_limit)));
  if (!Populate(shared, bytes)) return false;
  block.shadow_limit += bytes;
  return true;
}

bool GrowRing(const AgentState& state, const ThreadBlock& block) {
  lane::SlotControl* control = Control(block);
  const uint64_t bytes = Min(kPopulateBytes, state.ring_bytes - control->ring_populated);
  if (!Populate(block.control + state.ring_offset + control->ring_populated, bytes)) {
    return false;
  }
  control->ring_populated += bytes;
  return true;
}

ThreadBlock* Register(const AgentState& state, uint64_t thread_pointer, uint64_t stack) {
  const uint64_t slot = ClaimSlot(state);
  if (slot == ~uint64_t{0}) {
    return Refuse(state, thread_pointer, &Header(state)->refused_by_memory);
  }
  if (slot == state.slot_count) {
    return Refuse(state, thread_pointer, &Header(state)->refused_by_limit);
  }
  ThreadBlock* block = BlockAt(state, kFirstSlotBlock + slot);
  if (!FillSlot(state, slot, *block, thread_pointer, stack)) {
    auto* control = reinterpret_cast<lane::SlotControl*>(block->control);
    block->owner = 0;
    // Release: pairs with the acquire in ClaimSlot.
    __atomic_store_n(&control->state, lane::kFree, __ATOMIC_RELEASE);
    return Refuse(state, thread_pointer, &Header(state)->refused_by_memory);
  }
  SetGsBase(block);
  return block;
}

}  // namespace flightrec::agent
