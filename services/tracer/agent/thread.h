// Where the agent finds the calling thread's block, lane slot and shadow stack.
//
// Freestanding, for the agent's code only; each function concerns the calling
// thread. Makes no system calls.
#ifndef SERVICES_TRACER_AGENT_THREAD_H_
#define SERVICES_TRACER_AGENT_THREAD_H_

#include "services/tracer/agent/state.h"
#include "services/tracer/lane/layout.h"
#include "services/tracer/lane/ring.h"

namespace flightrec::agent {

inline uint64_t ReadFsBase() {
  uint64_t base;
  asm volatile("rdfsbase %0" : "=r"(base));
  return base;
}

inline ThreadBlock* CurrentBlock() {
  ThreadBlock* base;
  asm volatile("rdgsbase %0" : "=r"(base));
  return base;
}

// What the stubs take for the time.
inline uint64_t ReadTicks(const AgentState& state) {
  if (state.clock_line != 0) {
    // Relaxed: one location, so later reads of a thread never see older values.
    return __atomic_load_n(reinterpret_cast<const uint64_t*>(state.clock_line), __ATOMIC_RELAXED);
  }
  uint32_t low, high;
  asm volatile("rdtsc" : "=a"(low), "=d"(high));
  return low | (static_cast<uint64_t>(high) << 32);
}

inline BlockArea* Blocks(const AgentState& state) {
  return reinterpret_cast<BlockArea*>(state.blocks);
}

inline ThreadBlock* BlockAt(const AgentState& state, uint64_t index) {
  return reinterpret_cast<ThreadBlock*>(BlockAddress(state.blocks, index));
}

inline lane::FileHeader* Header(const AgentState& state) {
  return reinterpret_cast<lane::FileHeader*>(state.header);
}

inline ShadowEntry* At(uint64_t address) { return reinterpret_cast<ShadowEntry*>(address); }

// The part of an entry that the tracer sees.
inline lane::OpenCallEntry* Shared(const AgentState& state, const ShadowEntry* entry) {
  return reinterpret_cast<lane::OpenCallEntry*>(reinterpret_cast<uint64_t>(entry) - state.shadows +
                                                state.slots + state.shadow_offset);
}

inline lane::SlotControl* Control(const ThreadBlock& block) {
  return reinterpret_cast<lane::SlotControl*>(block.control);
}

inline lane::Ring RingOf(const AgentState& state, const ThreadBlock& block) {
  return {Control(block), reinterpret_cast<unsigned char*>(block.control + state.ring_offset),
          static_cast<uint32_t>(state.ring_bytes)};
}

// Moves the top of the thread's shadow stack, unless a signal handler has moved it meanwhile and
// left it so: it may have left entries of coroutines. One instruction, for handlers only.
inline bool MoveTop(ThreadBlock& block, uint64_t from, uint64_t to) {
  bool moved;
  asm volatile("cmpxchgq %3, %1"
               : "=@ccz"(moved), "+m"(block.top), "+a"(from)
               : "r"(to)
               : "memory");
  return moved;
}

// Only this thread adds, only the tracer reads: no read-modify-write needed
// towards other threads; one add instruction, so signal handlers lose nothing.
inline void CountOwn(uint64_t* counter) { asm volatile("incq %0" : "+m"(*counter) : : "cc"); }

// One call of the function gave no record; `cause` is the slot's total for it.
inline void CountDrop(const AgentState& state, const ThreadBlock& block, uint32_t function_index,
                      uint64_t* cause) {
  CountOwn(reinterpret_cast<uint64_t*>(block.control + state.drops_offset) + function_index);
  CountOwn(cause);
}

// A filter left one call of the function out.
inline void CountFiltered(const AgentState& state, const ThreadBlock& block,
                          uint32_t function_index) {
  CountOwn(reinterpret_cast<uint64_t*>(block.control + state.filtered_offset) + function_index);
}

// A call that would take the entry at the top is beyond the limit of calls, or the thread is muted.
inline bool IsFiltered(const AgentState& state, const ThreadBlock& block) {
  // Relaxed: the tracer may change it at any time.
  return state.limits_calls != 0 &&
         block.top >= __atomic_load_n(&Control(block)->call_limit, __ATOMIC_RELAXED);
}

}  // namespace flightrec::agent

#endif  // SERVICES_TRACER_AGENT_THREAD_H_
