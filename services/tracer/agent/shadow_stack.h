// The calling thread's shadow stack where the stubs' assumptions do not hold:
// entries whose frames were left by an exception or longjmp, entries of other
// stacks, a full ring.
//
// Freestanding; for the thread that owns the block. A frame can return after its
// entry was taken off, unless the entry was proved dead.
#ifndef SERVICES_TRACER_AGENT_SHADOW_STACK_H_
#define SERVICES_TRACER_AGENT_SHADOW_STACK_H_

#include "services/tracer/agent/state.h"

namespace flightrec::agent {

// Takes dead entries off the top before a call is entered whose return address
// is at `slot`; each is recorded as a call that ends now.
void PopDead(const AgentState& state, ThreadBlock& block, uint64_t slot);

// Ends the call of `entry`, which returns through `slot`: takes dead entries
// above it away and records it. The entry stays taken: an unwinder needs it until
// the exit thunk gives it back.
void PopReturning(const AgentState& state, ThreadBlock& block, ShadowEntry* entry, uint64_t slot,
                  uint64_t end_ticks);

// The entry at `slot` in the shadow stack that belongs to `block`, searched
// from `top` down; nullptr if there is none.
ShadowEntry* FindBySlot(uint64_t shadow_base, uint64_t top, uint64_t slot);

// The latest of the frames taken for dead that returns through `slot`; nullptr
// if there is none.
const LeftFrame* FindLeftFrame(const AgentState& state, uint64_t shadow_base, uint64_t slot);

// A stub called the function: `address` is where it returns to.
bool IsInStubs(const AgentState& state, uint64_t address);

}  // namespace flightrec::agent

#endif  // SERVICES_TRACER_AGENT_SHADOW_STACK_H_
