// The bytes with which rt_sigreturn brings a thread back to where it was: what the kernel puts on
// the stack of a signal handler. A thread that is made to run a system call elsewhere gets them, so
// that it finds back by itself when its tracer is killed meanwhile.
//
// Pure functions, thread-safe.
#ifndef SERVICES_TRACER_TARGET_RETURN_FRAME_H_
#define SERVICES_TRACER_TARGET_RETURN_FRAME_H_

#include <sys/user.h>

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace flightrec::target {

struct ReturnFrame {
  // Of the first byte. The stack pointer in front of a RET; it leads to `restorer`.
  uint64_t address = 0;
  std::vector<uint8_t> bytes;
};

// `registers` and `mask`, the blocked signals, are those of a stopped thread, `vectors` what
// PTRACE_GETREGSET says of NT_X86_XSTATE. `restorer`: code that does rt_sigreturn. `end`: from
// there on nothing is touched. A system call that the stop has interrupted is made again.
ReturnFrame MakeReturnFrame(const user_regs_struct& registers, uint64_t mask,
                            absl::Span<const uint8_t> vectors, uint64_t restorer, uint64_t end);

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_RETURN_FRAME_H_
