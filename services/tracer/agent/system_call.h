// The system calls the agent makes itself, without libc and without errno.
//
// Freestanding, thread-safe, usable in signal handlers. A negative result is
// -errno.
#ifndef SERVICES_TRACER_AGENT_SYSTEM_CALL_H_
#define SERVICES_TRACER_AGENT_SYSTEM_CALL_H_

#include <stdint.h>

namespace flightrec::agent {

enum SystemCallNumber : int64_t {
  kSysRead = 0,
  kSysClose = 3,
  kSysMadvise = 28,
  kSysGetpid = 39,
  kSysSigaltstack = 131,
  kSysPrctl = 157,
  kSysGettid = 186,
  kSysFutex = 202,
  kSysClockGettime = 228,
  kSysOpenat = 257,
  kSysProcessVmReadv = 310,
};

inline int64_t SystemCall(int64_t number, uint64_t a = 0, uint64_t b = 0, uint64_t c = 0,
                          uint64_t d = 0, uint64_t e = 0, uint64_t f = 0) {
  int64_t result;
  register uint64_t r10 asm("r10") = d;
  register uint64_t r8 asm("r8") = e;
  register uint64_t r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

}  // namespace flightrec::agent

#endif  // SERVICES_TRACER_AGENT_SYSTEM_CALL_H_
