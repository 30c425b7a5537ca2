// Where the calling thread's own stack lies, so that a coroutine's or a signal
// stack is told apart from it.
//
// Freestanding; reads /proc/self/maps. Does not follow stacks that the program
// splits itself.
#ifndef SERVICES_TRACER_AGENT_STACK_BOUNDS_H_
#define SERVICES_TRACER_AGENT_STACK_BOUNDS_H_

#include <stdint.h>

namespace flightrec::agent {

struct StackBounds {
  uint64_t low;   // 0, 0: unknown
  uint64_t high;  // exclusive
};

// `address` is on the stack, `thread_pointer` the fs base, which glibc and musl
// keep at the upper end of the stack they make.
StackBounds FindStackBounds(uint64_t address, uint64_t thread_pointer);

}  // namespace flightrec::agent

#endif  // SERVICES_TRACER_AGENT_STACK_BOUNDS_H_
