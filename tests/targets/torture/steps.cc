// Traps behind every instruction of a call, the stubs' own included: in each round
// the handler does something at the next one.

#include <execinfo.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>

#include <cstdio>
#include <cstdlib>

#include "torture.h"

// StepInto(function, argument): single-steps from the call until its return.
asm(R"(
  .text
  .globl StepInto
  .type StepInto, @function
StepInto:
  .cfi_startproc
  sub $8, %rsp
  .cfi_adjust_cfa_offset 8
  mov %rdi, %rax
  mov %esi, %edi
  pushfq
  .cfi_adjust_cfa_offset 8
  orq $0x100, (%rsp)
  popfq
  .cfi_adjust_cfa_offset -8
  call *%rax
  pushfq
  .cfi_adjust_cfa_offset 8
  andq $~0x100, (%rsp)
  popfq
  .cfi_adjust_cfa_offset -8
  add $8, %rsp
  .cfi_adjust_cfa_offset -8
  ret
  .cfi_endproc
  .size StepInto, .-StepInto
)");
extern "C" int StepInto(int (*function)(int), int argument);

namespace {

volatile long steps;
volatile long act_at;
volatile long acted;
sigjmp_buf jump_target;

void UseHandler(void (*handler)(int), int flags) {
  static char memory[65536];
  stack_t stack = {};
  stack.ss_sp = memory;
  stack.ss_size = sizeof(memory);
  sigaltstack(&stack, nullptr);
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigaction(SIGTRAP, &action, nullptr);
}

bool UnhookedIsTheStep() {
  steps = steps + 1;
  return steps == act_at;
}

// Rounds until one in which there was no such step; returns their number.
long StepThrough(void (*handler)(int), int flags) {
  UseHandler(handler, flags);
  acted = 0;
  long rounds = 0;
  do {
    ++rounds;
    steps = 0;
    act_at = rounds;
    if (StepInto(TailLeaf, 1) != 3) std::abort();
  } while (acted == rounds);
  ExpectCalls("StepInto", rounds);
  return rounds;
}

void UnhookedCall(int) {
  if (!UnhookedIsTheStep()) return;
  acted = acted + 1;
  sink = TailLeaf(sink);
}

int StepAndCall(int flags) {
  const long rounds = StepThrough(UnhookedCall, flags);
  ExpectCalls("TailLeaf", 2 * rounds - 1);
  ExpectCalls("Leaf", 2 * rounds - 1);
  std::puts("stepped");
  return 0;
}

int StepCall() { return StepAndCall(0); }
int StepCallOnSignalStack() { return StepAndCall(SA_ONSTACK); }

void UnhookedJump(int) {
  if (UnhookedIsTheStep()) siglongjmp(jump_target, 1);
}

// Ends when no step is left; each round leaves the call at the next one.
int StepJump() {
  static long rounds;
  UseHandler(UnhookedJump, SA_ONSTACK);
  sigsetjmp(jump_target, 1);
  ++rounds;
  steps = 0;
  act_at = rounds;
  StepInto(TailLeaf, 1);
  for (int i = 0; i < 1000; ++i) sink = Leaf(sink);
  // A call that was left before its stub had noted it is none.
  ExpectCalls("StepInto", rounds);
  ExpectCalls("<=TailLeaf", rounds);
  ExpectCalls("<=Leaf", 1000 + rounds);
  ExpectCalls(">=Leaf", 1001);
  std::printf("%d\n", sink);
  return 0;
}

void UnhookedThrow(int) {
  if (UnhookedIsTheStep()) throw 1;
}

int StepThrow() {
  UseHandler(UnhookedThrow, SA_NODEFER);
  long rounds = 0;
  for (bool thrown = true; thrown;) {
    ++rounds;
    steps = 0;
    act_at = rounds;
    thrown = false;
    try {
      Guard guard;
      StepInto(TailLeaf, 1);
    } catch (int) {
      thrown = true;
    }
  }
  ExpectCalls("StepInto", rounds);
  ExpectCalls("Cleanup", rounds);
  ExpectCalls("<=TailLeaf", rounds);
  ExpectCalls("<=Leaf", 2 * rounds);
  ExpectCalls(">=Leaf", rounds + 1);
  std::puts("stepped");
  return 0;
}

int frames_expected;
long stacks_wrong;

int UnhookedCountFrames() {
  void* frames[100];
  return backtrace(frames, 100);
}

void UnhookedBacktrace(int) {
  steps = steps + 1;
  const int frames = UnhookedCountFrames();
  if (frames < frames_expected || frames == 100) stacks_wrong = stacks_wrong + 1;
}

// From every instruction the stack can be read up to its end.
int StepBacktrace() {
  frames_expected = UnhookedCountFrames();
  UseHandler(UnhookedBacktrace, 0);
  StepInto(TailLeaf, 1);
  std::printf("%ld wrong\n", stacks_wrong);
  return 0;
}

void UnhookedExit(int) {
  if (UnhookedIsTheStep()) pthread_exit(&jump_target);
}

void* StepInThread(void*) {
  steps = 0;
  Guard guard;
  StepInto(TailLeaf, 1);
  return nullptr;
}

// The thread ends in the middle of a stub. Not at every instruction: no more
// threads than may be recorded at once, as nobody waits for the tracer.
int StepExitThread() {
  constexpr int kStride = 3;
  UseHandler(UnhookedExit, 0);
  long rounds = 0;
  void* result;
  do {
    ++rounds;
    act_at = kStride * rounds;
    pthread_t thread;
    pthread_create(&thread, nullptr, StepInThread, nullptr);
    pthread_join(thread, &result);
  } while (result != nullptr);
  ExpectCalls("StepInto", rounds);
  ExpectCalls("Cleanup", rounds);
  ExpectCalls("<=TailLeaf", rounds);
  ExpectCalls(">=Leaf", rounds);
  ExpectCalls("<=Leaf", 2 * rounds);
  std::puts("stepped");
  return 0;
}

}  // namespace

const Case kStepCases[] = {
    {"step_call", StepCall},
    {"step_call_on_signal_stack", StepCallOnSignalStack},
    {"step_jump", StepJump},
    {"step_throw", StepThrow},
    {"step_backtrace", StepBacktrace},
    {"step_exit_thread", StepExitThread},
    {},
};
