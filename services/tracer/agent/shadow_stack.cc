#include "services/tracer/agent/shadow_stack.h"

#include "services/tracer/agent/registration.h"
#include "services/tracer/agent/stack_bounds.h"
#include "services/tracer/agent/system_call.h"
#include "services/tracer/agent/thread.h"

namespace flightrec::agent {
namespace {

constexpr int32_t kOnSignalStack = 1;  // SS_ONSTACK
constexpr int32_t kNoSignalStack = 2;  // SS_DISABLE
constexpr int64_t kBadAddress = -14;   // EFAULT

struct SignalStack {  // stack_t
  uint64_t low;
  int32_t flags;
  int32_t padding;
  uint64_t size;
};

// Few threads ever need to know, and the answer takes the time of 1,000 calls.
void LearnStack(const AgentState& state, ThreadBlock& block) {
  const uint64_t known = block.stack_low;
  StackBounds bounds = {state.main_thread_stack_low, state.main_thread_stack_high};
  // The first thread's stack grows: its present mapping is too small.
  if (known < bounds.low || known >= bounds.high) bounds = FindStackBounds(known, block.owner);
  if (bounds.high == 0) bounds = {1, 1};
  // A signal handler that comes in between looks the same mapping up.
  block.stack_low = bounds.low;
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  block.stack_high = bounds.high;
}

bool OnOwnStack(const AgentState& state, ThreadBlock& block, uint64_t address) {
  if (block.stack_high == 0) LearnStack(state, block);
  return block.stack_low <= address && address < block.stack_high;
}

// A signal stack may lie inside the thread's stack; then addresses do not tell
// which of two frames is the older one.
bool SignalStackIsInUse() {
  SignalStack stack = {};
  if (SystemCall(kSysSigaltstack, 0, reinterpret_cast<uint64_t>(&stack)) < 0) {
    return true;
  }
  return (stack.flags & kNoSignalStack) == 0 && (stack.flags & kOnSignalStack) != 0;
}

// The thread left its signal stack by longjmp: nothing on it is alive.
bool IsOnUnusedSignalStack(uint64_t address) {
  SignalStack stack = {};
  if (SystemCall(kSysSigaltstack, 0, reinterpret_cast<uint64_t>(&stack)) < 0 ||
      (stack.flags & (kOnSignalStack | kNoSignalStack)) != 0) {
    return false;
  }
  return address - stack.low < stack.size;
}

// The word at `address`, which may be unmapped: stacks of coroutines and of
// children that share the memory come and go. 0 if nothing is there.
uint64_t ReadWord(const ThreadBlock& block, uint64_t address, uint64_t if_forbidden) {
  struct Range {  // struct iovec
    const void* base;
    uint64_t bytes;
  };
  uint64_t word = 0;
  const Range local = {&word, sizeof(word)};
  const Range remote = {reinterpret_cast<const void*>(address), sizeof(word)};
  const int64_t count =
      SystemCall(kSysProcessVmReadv, Control(block)->tid, reinterpret_cast<uint64_t>(&local), 1,
                 reinterpret_cast<uint64_t>(&remote), 1);
  if (count == sizeof(word)) return word;
  return count == kBadAddress ? 0 : if_forbidden;
}

// For an entry that is not on the thread's own stack: nothing returns through
// it any more.
bool IsLeftElsewhere(const AgentState& state, const ThreadBlock& block, const ShadowEntry& entry) {
  if (IsOnUnusedSignalStack(entry.slot)) return true;
  // Its stub may have been interrupted on the way in, before it put its address
  // into the slot.
  if (SignalStackIsInUse()) return false;
  return !IsInStubs(state, ReadWord(block, entry.slot, state.regions[0].low));
}

// A handler that jumped out of a half-written record leaves the head behind until
// the entry is found dead. If the ring is full before, and everything visible is
// consumed, the ring starts over there.
void DropOrRestart(const AgentState& state, ThreadBlock& block, const lane::Ring& ring,
                   uint32_t function_index, uint64_t limit) {
  lane::SlotControl* control = ring.control;
  // Relaxed: only this thread writes the head.
  const uint64_t head = __atomic_load_n(&control->head, __ATOMIC_RELAXED);
  if (head + ring.size == limit && block.reserved == limit) {
    control->dropped_full += (block.reserved - head) / sizeof(lane::CallRecord);
    block.reserved = head;
  }
  CountDrop(state, block, function_index, &control->dropped_full);
}

lane::CallRecord Finished(const lane::OpenCallEntry& call, uint64_t end_ticks) {
  return {call.start_ticks, end_ticks, call.path, call.function_index, call.ordinal_low};
}

void Record(const AgentState& state, ThreadBlock& block, ShadowEntry* entry,
            const lane::CallRecord& record) {
  const lane::Ring ring = RingOf(state, block);
  while (!lane::Publish(ring, &block.reserved, block.ring_limit, &entry->ring_place, record)) {
    lane::SlotControl* control = ring.control;
    while (control->ring_populated < ring.size && block.reserved >= control->ring_populated) {
      if (!GrowRing(state, block)) break;
    }
    uint64_t limit = lane::WriteLimit(ring);
    if (control->ring_populated < ring.size && control->ring_populated < limit) {
      limit = control->ring_populated;
    }
    // A signal handler may have come as far meanwhile, so only the place
    // decides, not the limit that was known before.
    if (block.reserved >= limit) {
      DropOrRestart(state, block, ring, record.function_index, limit);
      return;
    }
    block.ring_limit = limit;
  }
}

// Takes one entry out of use; records its call if it is still open.
void Retire(const AgentState& state, ThreadBlock& block, ShadowEntry* entry, uint64_t end_ticks,
            uint64_t slot_value) {
  lane::OpenCallEntry* shared = Shared(state, entry);
  if (shared->start_ticks != 0 && end_ticks - shared->start_ticks < state.min_duration_ticks) {
    // Over before it is counted, as in the stub.
    const uint32_t function_index = shared->function_index;
    __atomic_store_n(&shared->start_ticks, 0, __ATOMIC_RELAXED);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    CountFiltered(state, block, function_index);
  } else if (shared->start_ticks != 0) {
    const lane::CallRecord record = Finished(*shared, end_ticks);
    const lane::Ring ring = RingOf(state, block);
    // Relaxed: only this thread writes the head.
    const uint64_t head = __atomic_load_n(&ring.control->head, __ATOMIC_RELAXED);
    if (entry->ring_place >= block.reserved) {
      Record(state, block, entry, record);
    } else if (entry->ring_place >= head) {
      // Its stub was left while it wrote the record.
      lane::Complete(ring, &block.reserved, entry->ring_place, record);
    }
  }
  // Relaxed: the tracer may take it for open or not, both are right now.
  __atomic_store_n(&shared->start_ticks, 0, __ATOMIC_RELAXED);
  entry->slot = slot_value;
}

LeftFrame* LeftFrames(const AgentState& state, uint64_t shadow_base) {
  const uint64_t bytes = state.shadow_entries * sizeof(ShadowEntry);
  return reinterpret_cast<LeftFrame*>(shadow_base + (bytes + lane::kPageBytes - 1) /
                                                        lane::kPageBytes * lane::kPageBytes);
}

// Takes the topmost entry off, whose frame is dead or was left. A stack may lie
// inside the thread's own, so an address proves nothing as long as the slot
// still leads into a stub.
void TakeOff(const AgentState& state, ThreadBlock& block, ShadowEntry* entry, uint64_t end_ticks) {
  if (entry->slot > kDeadSlot && OnOwnStack(state, block, entry->slot) &&
      IsInStubs(state, *reinterpret_cast<uint64_t*>(entry->slot))) {
    // Reserved before written, as entries are.
    uint64_t number = 1;
    asm volatile("xaddq %0, %1" : "+r"(number), "+m"(block.left_frames) : : "cc");
    LeftFrames(state, block.shadow_base)[number % kMaxLeftFrames] = {
        entry->slot, entry->return_address, entry->caller_rbx, number};
  }
  Retire(state, block, entry, end_ticks, 0);
  const auto top = reinterpret_cast<uint64_t>(entry);
  if (!MoveTop(block, top + sizeof(ShadowEntry), top)) entry->slot = kDeadSlot;
}

enum class Verdict { kAlive, kDead };

Verdict Judge(const AgentState& state, ThreadBlock& block, const ShadowEntry& entry,
              uint64_t slot) {
  if (entry.slot == 0) return Verdict::kAlive;
  if (entry.slot == kDeadSlot) return Verdict::kDead;
  if (entry.slot == slot) {
    // A tail call finds the stub of the function it replaces at its slot.
    return IsInStubs(state, *reinterpret_cast<uint64_t*>(slot)) ? Verdict::kAlive : Verdict::kDead;
  }
  const bool entry_on_own = OnOwnStack(state, block, entry.slot);
  if (!OnOwnStack(state, block, slot)) return Verdict::kAlive;
  if (!entry_on_own) {
    return IsLeftElsewhere(state, block, entry) ? Verdict::kDead : Verdict::kAlive;
  }
  if (entry.slot > slot) return Verdict::kAlive;
  return SignalStackIsInUse() ? Verdict::kAlive : Verdict::kDead;
}

}  // namespace

bool IsInStubs(const AgentState& state, uint64_t address) {
  for (uint64_t i = 0; i < state.region_count; ++i) {
    const Region& region = state.regions[i];
    if (address - region.low < region.high - region.low) return true;
  }
  return false;
}

ShadowEntry* FindBySlot(uint64_t shadow_base, uint64_t top, uint64_t slot) {
  for (ShadowEntry* entry = At(top) - 1; entry > At(shadow_base); --entry) {
    if (entry->slot == slot) return entry;
  }
  return nullptr;
}

const LeftFrame* FindLeftFrame(const AgentState& state, uint64_t shadow_base, uint64_t slot) {
  const LeftFrame* frames = LeftFrames(state, shadow_base);
  const LeftFrame* latest = nullptr;
  for (uint64_t i = 0; i < kMaxLeftFrames; ++i) {
    if (frames[i].slot != slot) continue;
    if (latest == nullptr || frames[i].number > latest->number) latest = &frames[i];
  }
  return latest;
}

void PopDead(const AgentState& state, ThreadBlock& block, uint64_t slot) {
  const uint64_t now = ReadTicks(state);
  ShadowEntry* root = At(block.shadow_base);
  while (At(block.top) - 1 > root) {
    ShadowEntry* entry = At(block.top) - 1;
    if (Judge(state, block, *entry, slot) == Verdict::kAlive) return;
    TakeOff(state, block, entry, now);
  }
}

void PopReturning(const AgentState& state, ThreadBlock& block, ShadowEntry* entry, uint64_t slot,
                  uint64_t end_ticks) {
  // The system call only if there is something to decide.
  const bool on_own =
      At(block.top) - 1 > entry && OnOwnStack(state, block, slot) && !SignalStackIsInUse();
  while (At(block.top) - 1 > entry) {
    ShadowEntry* above = At(block.top) - 1;
    const bool dead =
        above->slot == kDeadSlot || above->slot == slot ||
        (on_own &&
         (above->slot == 0 || (OnOwnStack(state, block, above->slot) && above->slot < slot))) ||
        (on_own && !OnOwnStack(state, block, above->slot) && IsLeftElsewhere(state, block, *above));
    if (!dead) break;
    TakeOff(state, block, above, end_ticks);
  }
  // One on the top is not dead: a signal handler would take it for a call of its own.
  Retire(state, block, entry, end_ticks, At(block.top) - 1 == entry ? 0 : kDeadSlot);
}

}  // namespace flightrec::agent
