#include "services/tracer/agent/registration.h"

#include "common/path/path.h"
#include "services/tracer/agent/system_call.h"
#include "services/tracer/agent/thread.h"
#include "services/tracer/agent/thread_name.h"
#include "services/tracer/lane/slot_registry.h"

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

// Leaves the stack of the slot's former thread empty.
void ClearShadow(const AgentState& state, ThreadBlock& block) {
  ShadowEntry* root = At(block.shadow_base);
  for (ShadowEntry* entry = root + 1; entry < At(block.top); ++entry) {
    entry->slot = 0;
    Shared(state, entry)->start_ticks = 0;
  }
}

// __builtin_prefetch would be removed together with the function around it. Processors without the
// instruction take it for a nop; an address without memory is left alone.
inline void PrefetchToWrite(const void* address) {
  asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(address)));
}

// The tracer looks at the name again and again; this decides until it does.
void SetCallLimit(const AgentState& state, const ThreadBlock& block) {
  lane::SlotControl* control = Control(block);
  const bool limited = state.max_depth != 0 && state.max_depth < state.shadow_entries;
  control->own_call_limit =
      limited ? block.shadow_base + (state.max_depth + 1) * sizeof(ShadowEntry) : ~uint64_t{0};
  // Relaxed: nobody else looks at the slot before it is active.
  __atomic_store_n(&control->call_limit, IsMutedByName(state) ? 0 : control->own_call_limit,
                   __ATOMIC_RELAXED);
}

// What the thread touches from here to the end of its first call: a dozen lines of six pages that
// no cache has, which together cost little more than one of them.
void Prefetch(const AgentState& state, uint64_t slot, const ThreadBlock* block) {
  const uint64_t base = state.slots + slot * state.slot_bytes;
  const auto* control = reinterpret_cast<const lane::SlotControl*>(base);
  PrefetchToWrite(block);
  PrefetchToWrite(&block->kind);
  PrefetchToWrite(control);
  PrefetchToWrite(&control->head);
  PrefetchToWrite(&control->tail);
  PrefetchToWrite(At(state.shadows + slot * state.slot_bytes));
  PrefetchToWrite(At(base + state.shadow_offset));
  PrefetchToWrite(At(base + state.ring_offset));
}

// `stack` is an address on the thread's stack; bounds are looked up when they are needed.
bool FillSlot(const AgentState& state, uint64_t slot, ThreadBlock& block, uint64_t thread_pointer,
              uint64_t stack) {
  const uint64_t base = state.slots + slot * state.slot_bytes;
  // Control page and drop counters. Reading them in a file hole would take memory too.
  if (block.control == 0 && !Populate(base, state.drops_offset + state.drops_bytes)) return false;
  if (block.control == 0 && state.filtered_offset != 0 &&
      !Populate(base + state.filtered_offset, state.drops_bytes)) {
    return false;
  }
  block.control = base;
  lane::SlotControl* control = Control(block);
  lane::BeginSlot(control, ReadTicks(state));
  block.shadow_base = state.shadows + slot * state.slot_bytes;
  if (block.top != 0) ClearShadow(state, block);
  block.top = block.shadow_base + sizeof(ShadowEntry);
  block.shadow_limit = block.shadow_base + control->shadow_populated;
  if (control->shadow_populated == 0 && !GrowShadow(state, block)) return false;
  ShadowEntry* root = At(block.shadow_base);
  root->slot = kRootSlot;
  Shared(state, root)->path = kRootPath;
  if (control->ring_populated == 0 && !GrowRing(state, block)) return false;
  const uint64_t head = __atomic_load_n(&control->head, __ATOMIC_RELAXED);
  block.reserved = head;
  const uint64_t limit = lane::WriteLimit(RingOf(state, block));
  // In its first lap the ring ends where its memory does.
  block.ring_limit =
      control->ring_populated < state.ring_bytes ? Min(limit, control->ring_populated) : limit;
  if (state.limits_calls != 0) SetCallLimit(state, block);
  block.next_ordinal = 1;
  block.left_frames = 0;
  block.kind = kRegistered;
  block.stack_low = stack;
  block.stack_high = 0;
  block.owner = thread_pointer;
  return true;
}

// Thread pointers of living threads differ, so a refused block with this one is
// a dead thread's, or this thread's that tries again.
ThreadBlock* Refuse(const AgentState& state, uint64_t thread_pointer, uint64_t releases,
                    uint64_t* count) {
  constexpr uint64_t kScatter = 0x9E3779B97F4A7C15u;
  // The first ones, whose tids the tracer sees.
  constexpr int kIndexShift = 64 - 9;
  static_assert(lane::kMaxRefusedTids == 1u << 9);
  ThreadBlock* own = CurrentBlock();
  if (own->kind == kRefused && own->owner == thread_pointer) {
    own->releases = releases;
    return own;
  }
  const uint64_t first = (thread_pointer * kScatter) >> kIndexShift;
  for (uint64_t i = 0; i < kRefusedBlocks; ++i) {
    const uint64_t place = (first + i) % kRefusedBlocks;
    ThreadBlock* block = BlockAt(state, kFirstSlotBlock + state.slot_count + place);
    uint64_t expected = 0;
    if (__atomic_compare_exchange_n(&block->owner, &expected, thread_pointer, false,
                                    __ATOMIC_RELAXED, __ATOMIC_RELAXED) ||
        expected == thread_pointer) {
      block->kind = kRefused;
      block->releases = releases;
      // Here, so that a thread for which no block is left does not count at each of its calls.
      __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
      SetGsBase(block);
      if (place < lane::kMaxRefusedTids) {
        __atomic_store_n(&Header(state)->refused_tids[place],
                         static_cast<uint32_t>(SystemCall(kSysGettid)), __ATOMIC_RELAXED);
      }
      return block;
    }
  }
  return nullptr;
}

void Activate(const AgentState& state, const ThreadBlock& block, uint32_t tid) {
  lane::ActivateSlot(Header(state), Control(block), tid, block.owner);
}

void LeaveRefused(const AgentState& state, ThreadBlock* block) {
  const uint64_t place =
      static_cast<uint64_t>(block - BlockAt(state, kFirstSlotBlock + state.slot_count));
  if (place < lane::kMaxRefusedTids) {
    __atomic_store_n(&Header(state)->refused_tids[place], 0, __ATOMIC_RELAXED);
  }
  __atomic_store_n(&block->owner, 0, __ATOMIC_RELAXED);
}

}  // namespace

bool GrowShadow(const AgentState& state, ThreadBlock& block) {
  const uint64_t end = block.shadow_base + state.shadow_entries * sizeof(ShadowEntry);
  const uint64_t bytes = Min(kPopulateBytes, end - block.shadow_limit);
  if (bytes == 0) return false;
  const auto shared = reinterpret_cast<uint64_t>(Shared(state, At(block.shadow_limit)));
  if (!Populate(shared, bytes)) return false;
  block.shadow_limit += bytes;
  Control(block)->shadow_populated += bytes;
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
  lane::FileHeader* header = Header(state);
  PrefetchToWrite(&header->thread_ordinals);
  const uint64_t releases = lane::Releases(header);
  const uint32_t slot = lane::ClaimSlot(header);
  // The header is the process's to write over; only its slots may be touched.
  if (slot >= state.slot_count) {
    return Refuse(state, thread_pointer, releases, &header->refused_by_limit);
  }
  ThreadBlock* block = BlockAt(state, kFirstSlotBlock + slot);
  Prefetch(state, slot, block);
  const auto tid = static_cast<uint32_t>(SystemCall(kSysGettid));
  if (!FillSlot(state, slot, *block, thread_pointer, stack)) {
    block->owner = 0;
    lane::UnclaimSlot(header, slot);
    return Refuse(state, thread_pointer, releases, &header->refused_by_memory);
  }
  ThreadBlock* former = CurrentBlock();
  // From here on a signal handler finds the block; before it would have taken a slot of its own,
  // with an older ordinal than this one's, so that the tracer takes that one for ended.
  SetGsBase(block);
  Activate(state, *block, tid);
  if (former->kind == kRefused && former->owner == thread_pointer) LeaveRefused(state, former);
  return block;
}

void Announce(const AgentState& state, const ThreadBlock& block) {
  Activate(state, block, static_cast<uint32_t>(SystemCall(kSysGettid)));
}

}  // namespace flightrec::agent
