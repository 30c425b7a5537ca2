// Gives a thread its lane slot at its first hooked call.
//
// Freestanding; runs in the thread concerned, may be interrupted by a signal
// handler that registers the same thread again: the thread then has two slots,
// of which the outer one is used. Threads beyond the limit or without memory
// get a block of kind kRefused, are counted once, and try again after a slot was
// released.
#ifndef SERVICES_TRACER_AGENT_REGISTRATION_H_
#define SERVICES_TRACER_AGENT_REGISTRATION_H_

#include "services/tracer/agent/state.h"

namespace flightrec::agent {

// `stack` is an address on the thread's current stack. Sets the gs base.
// nullptr: not even a refused block was left; nothing is remembered or counted.
ThreadBlock* Register(const AgentState& state, uint64_t thread_pointer, uint64_t stack);

// Shows the thread's slot to the tracer. Register does; a signal handler that may have left it by
// longjmp half-way is made up for by whoever finds the slot not active.
void Announce(const AgentState& state, const ThreadBlock& block);

// Takes memory for more entries of the shadow stack. False: it is at its full
// depth or tmpfs is full.
bool GrowShadow(const AgentState& state, ThreadBlock& block);

// Takes memory for more of the ring in its first lap. False: tmpfs is full.
bool GrowRing(const AgentState& state, const ThreadBlock& block);

}  // namespace flightrec::agent

#endif  // SERVICES_TRACER_AGENT_REGISTRATION_H_
