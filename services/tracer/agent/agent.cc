// The functions the stubs and hooks jump to when their fast path does not fit.
// They run in the traced program's threads, on its stacks, with general
// registers only, and may be interrupted by its signal handlers anywhere.

#include "common/path/path.h"
#include "services/tracer/agent/frames.h"
#include "services/tracer/agent/registration.h"
#include "services/tracer/agent/shadow_stack.h"
#include "services/tracer/agent/state.h"
#include "services/tracer/agent/system_call.h"
#include "services/tracer/agent/thread.h"
#include "services/tracer/lane/slot_registry.h"

namespace flightrec::agent {
namespace {

// What the entry stub does with the entry it has taken, in the same order and for the same reasons.
void Fill(const AgentState& state, ThreadBlock& block, const StubDescriptor& stub,
          ShadowEntry* entry, uint64_t slot, uint64_t caller_rbx) {
  entry->slot = slot;
  entry->return_address = *reinterpret_cast<uint64_t*>(slot);
  entry->caller_rbx = caller_rbx;
  entry->ring_place = kNoPlace;
  lane::OpenCallEntry* shared = Shared(state, entry);
  shared->path = ExtendPath((shared - 1)->path, stub.function_id);
  uint64_t ordinal = 1;
  asm volatile("xaddq %0, %1" : "+r"(ordinal), "+m"(block.next_ordinal) : : "cc");
  shared->function_index = stub.function_index;
  shared->ordinal_low = static_cast<uint32_t>(ordinal);
  // Release: the tracer takes an entry with a start for complete.
  __atomic_store_n(&shared->start_ticks, ReadTicks(state), __ATOMIC_RELEASE);
}

// A slot was released since this thread was refused.
bool MayTryAgain(const AgentState& state, const ThreadBlock& block) {
  return block.kind == kRefused && block.releases != lane::Releases(Header(state));
}

bool IsInShadows(const AgentState& state, const ShadowEntry* entry) {
  const uint64_t offset = reinterpret_cast<uint64_t>(entry) - state.shadows;
  return offset < state.slot_count * state.slot_bytes &&
         offset % state.slot_bytes < state.shadow_entries * sizeof(ShadowEntry) &&
         offset % sizeof(ShadowEntry) == 0;
}

struct Located {
  ShadowEntry* entry;
  const LeftFrame* left;  // if not null, it counts instead: the call was recorded when it was left
};

// The body may have been written by hand and have lost rbx, or the frame was
// taken for dead and the entry is another call's by now.
Located Locate(const AgentState& state, const ThreadBlock* block, ShadowEntry* claimed,
               uint64_t slot) {
  if (IsInShadows(state, claimed) && claimed->slot == slot) return {claimed, nullptr};
  const uint64_t index =
      (reinterpret_cast<uint64_t>(block) - BlockAddress(state.blocks, 0)) / sizeof(ThreadBlock);
  const uint64_t number = index - kFirstSlotBlock;
  if (number >= state.slot_count) return {claimed, nullptr};
  const uint64_t base = state.shadows + number * state.slot_bytes;
  // In a forked child the block is wiped: look through all that was used.
  const uint64_t top =
      block->top != 0 ? block->top : base + state.shadow_entries * sizeof(ShadowEntry);
  ShadowEntry* found = FindBySlot(base, top, slot);
  if (found != nullptr) return {found, nullptr};
  return {claimed, FindLeftFrame(state, base, slot)};
}

}  // namespace

struct ExitResult {  // returned in rax and rdx
  uint64_t return_address;
  uint64_t caller_rbx;
};

// `slot` is the address of the return address. Returns the new entry; nullptr:
// run the function as if it were not hooked.
extern "C" ShadowEntry* SlowEntry(const AgentState* state, const StubDescriptor* stub,
                                  uint64_t slot, uint64_t caller_rbx) {
  if (Blocks(*state)->alive == 0) return nullptr;
  const uint64_t thread_pointer = ReadFsBase();
  // A static program before it has set up its thread-local storage.
  if (thread_pointer == 0) return nullptr;
  ThreadBlock* block = CurrentBlock();
  if (block->kind == kForeign) return nullptr;
  if (block->owner != thread_pointer || MayTryAgain(*state, *block)) {
    block = Register(*state, thread_pointer, slot);
  }
  if (block == nullptr || block->kind != kRegistered) {
    // Relaxed: a total that is read now and then.
    __atomic_fetch_add(&Header(*state)->refused_calls, 1, __ATOMIC_RELAXED);
    return nullptr;
  }
  if (!lane::IsActive(*Control(*block))) Announce(*state, *block);
  uint64_t top;
  do {
    PopDead(*state, *block, slot);
    if (IsFiltered(*state, *block)) {
      CountFiltered(*state, *block, stub->function_index);
      return nullptr;
    }
    top = block->top;
    if (top >= block->shadow_limit && !GrowShadow(*state, *block)) {
      CountDrop(*state, *block, stub->function_index, &Control(*block)->dropped_depth);
      return nullptr;
    }
    // Taken before written: a signal handler takes the next.
  } while (!MoveTop(*block, top, top + sizeof(ShadowEntry)));
  Fill(*state, *block, *stub, At(top), slot, caller_rbx);
  return At(top);
}

extern "C" ExitResult SlowExit(const AgentState* state, ShadowEntry* claimed, uint64_t slot,
                               uint64_t end_ticks) {
  ThreadBlock* block = CurrentBlock();
  const auto [entry, left] = Locate(*state, block, claimed, slot);
  if (left != nullptr) return {left->return_address, left->caller_rbx};
  const ExitResult result = {entry->return_address, entry->caller_rbx};
  if (Blocks(*state)->alive == 0 || block->kind == kForeign) return result;
  const bool own = block->kind == kRegistered && block->owner == ReadFsBase() &&
                   entry > At(block->shadow_base) && entry < At(block->top);
  if (own) {
    if (!lane::IsActive(*Control(*block))) Announce(*state, *block);
    PopReturning(*state, *block, entry, slot, end_ticks);
    return result;
  }
  // A coroutine that another thread began: that thread finds the entry dead.
  lane::OpenCallEntry* shared = Shared(*state, entry);
  const uint64_t thread_pointer = ReadFsBase();
  if (block->owner != thread_pointer) block = Register(*state, thread_pointer, slot);
  if (block != nullptr && block->kind == kRegistered) {
    CountDrop(*state, *block, shared->function_index, &Control(*block)->dropped_migrated);
  } else {
    // Relaxed: a total that is read now and then.
    __atomic_fetch_add(&Header(*state)->refused_calls, 1, __ATOMIC_RELAXED);
  }
  __atomic_store_n(&shared->start_ticks, 0, __ATOMIC_RELAXED);
  // Release: the owner may reuse the entry once it sees it dead.
  __atomic_store_n(&entry->slot, kDeadSlot, __ATOMIC_RELEASE);
  return result;
}

// Stands in front of _Unwind_Find_FDE. 0: ask the original.
extern "C" uint64_t FindFde(uint64_t address, DwarfBases* bases, const AgentState* state,
                            FindFdeFunction original) {
  return FindOurFde(*state, address, bases, original);
}

struct FoundObject {  // struct dl_find_object, glibc 2.35
  uint64_t flags;
  uint64_t map_start;
  uint64_t map_end;
  uint64_t link_map;
  uint64_t eh_frame_header;
};

// Stands in front of _dl_find_object. 0: ask the original; 1: found.
extern "C" uint64_t FindObject(uint64_t address, FoundObject* found, const AgentState* state) {
  for (uint64_t i = 0; i < state->region_count; ++i) {
    const Region& region = state->regions[i];
    if (address - region.low >= region.high - region.low) continue;
    *found = {0, region.low, region.high, 0, region.eh_frame_header};
    return 1;
  }
  return 0;
}

// Told by the code in front of functions that start processes. `flags` is what clone has as its
// third argument.
extern "C" void Notice(const AgentState* state, uint64_t event, uint64_t flags) {
  constexpr uint64_t kThread = 0x10000;      // CLONE_THREAD
  constexpr uint64_t kSpawnsChild = 0x4100;  // CLONE_VM, CLONE_VFORK: posix_spawn, counted there
  if (Blocks(*state)->alive == 0) return;
  if (event == kClones && ((flags & kThread) != 0 || (flags & kSpawnsChild) == kSpawnsChild))
    return;
  // A child that still shares the memory starts nothing of this process.
  if (SystemCall(kSysGetpid) != Header(*state)->pid) return;
  auto* counters =
      reinterpret_cast<uint64_t*>(state->header + offsetof(lane::FileHeader, children_fork));
  // Relaxed: totals that are read now and then.
  __atomic_fetch_add(&counters[event], 1, __ATOMIC_RELAXED);
}

}  // namespace flightrec::agent

// First bytes of the image, see state.h.
asm(R"(
  .pushsection .agent_header, "ax", @progbits
  .globl image_start
  .hidden image_start, image_frames
image_start:
  .long SlowEntry - image_start, SlowExit - image_start
  .long FindFde - image_start, FindObject - image_start
  .long Notice - image_start, LibrariesChanged - image_start
  .long system_call - image_start
  .long image_frames - image_start
system_call:
  syscall
  ret
  mov $15, %eax
  syscall
  int3
  .popsection
)");
