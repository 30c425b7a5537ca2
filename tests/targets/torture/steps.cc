// Traps behind every instruction of a call, the stubs' own included: in each round
// the handler does something at the next one.

#include <execinfo.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <ucontext.h>

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
  sub $40, %rsp
  .cfi_adjust_cfa_offset 40
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
  add $40, %rsp
  .cfi_adjust_cfa_offset -40
  ret
  .cfi_endproc
  .size StepInto, .-StepInto
)");
extern "C" int StepInto(int (*function)(int), int argument);

// StepOutOf(function, argument): calls ReturnStepping, which calls the function and
// is single-stepped from then on, until its own return.
asm(R"(
  .text
  .globl ReturnStepping
  .type ReturnStepping, @function
ReturnStepping:
  .cfi_startproc
  sub $8, %rsp
  .cfi_adjust_cfa_offset 8
  mov %rdi, %rax
  mov %esi, %edi
  call *%rax
  pushfq
  .cfi_adjust_cfa_offset 8
  orq $0x100, (%rsp)
  popfq
  .cfi_adjust_cfa_offset -8
  add $8, %rsp
  .cfi_adjust_cfa_offset -8
  ret
  .cfi_endproc
  .size ReturnStepping, .-ReturnStepping

  .globl StepOutOf
  .type StepOutOf, @function
StepOutOf:
  .cfi_startproc
  sub $8, %rsp
  .cfi_adjust_cfa_offset 8
  call ReturnStepping
  pushfq
  .cfi_adjust_cfa_offset 8
  andq $~0x100, (%rsp)
  popfq
  .cfi_adjust_cfa_offset -8
  add $8, %rsp
  .cfi_adjust_cfa_offset -8
  ret
  .cfi_endproc
  .size StepOutOf, .-StepOutOf
)");
extern "C" int StepOutOf(int (*function)(int), int argument);

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

constexpr int kMaxFrames = 100;
void* frames_expected[kMaxFrames];  // of the case itself
int count_expected;
long stacks_wrong;

KEPT void UnhookedExpectFrames() { count_expected = backtrace(frames_expected, kMaxFrames); }

bool UnhookedIsIn(void* address, int (*function)(int (*)(int), int)) {
  constexpr unsigned long kCodeBytes = 64;
  return reinterpret_cast<unsigned long>(address) - reinterpret_cast<unsigned long>(function) <
         kCodeBytes;
}

// The stack leads through the stepping to the callers of the case.
KEPT void UnhookedCheckStack() {
  void* frames[kMaxFrames];
  const int count = backtrace(frames, kMaxFrames);
  bool whole = count > count_expected && count < kMaxFrames;
  // Without the case itself, and a hook of backtrace().
  for (int i = 1; whole && i <= count_expected - 3; ++i) {
    whole = frames[count - i] == frames_expected[count_expected - i];
  }
  bool stepped = false;
  for (int i = 0; i < count; ++i) {
    stepped = stepped || UnhookedIsIn(frames[i], StepInto) || UnhookedIsIn(frames[i], StepOutOf);
  }
  if (!whole || !stepped) stacks_wrong = stacks_wrong + 1;
}

// Where the unwinder is hooked too, it records: at one step of each round only.
void UnhookedBacktrace(int) {
  if (!UnhookedIsTheStep()) return;
  acted = acted + 1;
  UnhookedCheckStack();
}

// From every instruction the stack can be read up to its end.
int StepBacktrace() {
  UnhookedExpectFrames();
  const long rounds = StepThrough(UnhookedBacktrace, 0);
  ExpectCalls("TailLeaf", rounds);
  ExpectCalls("Leaf", rounds);
  std::printf("%ld wrong\n", stacks_wrong);
  return 0;
}

constexpr long kPhases = 16;
ucontext_t fiber;
ucontext_t beside_fiber;
jmp_buf left_frame;

// The call before may take what the interrupted stub has just given back.
void UnhookedCallAndBacktrace(int) {
  steps = steps + 1;
  if (steps % kPhases != act_at) return;
  acted = acted + 1;
  sink = Leaf(sink);
  UnhookedCheckStack();
}

}  // namespace

COUNTED void SleepingFiber() {
  sink = Leaf(sink);
  swapcontext(&fiber, &beside_fiber);
  NOT_LAST;
}

COUNTED int StartFiber(int a) {
  static char memory[65536];
  getcontext(&fiber);
  fiber.uc_stack.ss_sp = memory;
  fiber.uc_stack.ss_size = sizeof(memory);
  fiber.uc_link = &beside_fiber;
  makecontext(&fiber, SleepingFiber, 0);
  swapcontext(&beside_fiber, &fiber);
  return a + 2;
}

COUNTED void LeaveFrame() { longjmp(left_frame, 1); }

namespace {

KEPT int UnhookedFrameIsLeft(int a) {
  if (setjmp(left_frame) == 0) LeaveFrame();
  return a + 2;
}

// Where frames were left, and beside a coroutine that sleeps, calls begin and end
// by the slow parts of their stubs.
int StepBacktraceSlow() {
  UnhookedExpectFrames();
  UseHandler(UnhookedCallAndBacktrace, 0);
  for (act_at = 0; act_at < kPhases; act_at = act_at + 1) {
    steps = 0;
    if (StepOutOf(UnhookedFrameIsLeft, 1) != 3 || StepOutOf(StartFiber, 1) != 3 ||
        StepInto(TailLeaf, 1) != 3) {
      std::abort();
    }
    swapcontext(&beside_fiber, &fiber);
  }
  ExpectCalls("Leaf", 2 * kPhases + acted);
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

void UnhookedSwitch(int) {
  if (!UnhookedIsTheStep()) return;
  acted = acted + StartFiber(-1);
}

// A coroutine begins in the middle of the stub, sleeps there and goes on later.
int StepSwitch() {
  UseHandler(UnhookedSwitch, 0);
  long rounds = 0;
  do {
    ++rounds;
    steps = 0;
    act_at = rounds;
    if (StepInto(TailLeaf, 1) != 3) std::abort();
    if (acted == rounds) swapcontext(&beside_fiber, &fiber);
  } while (acted == rounds);
  ExpectCalls("StepInto", rounds);
  ExpectCalls("TailLeaf", rounds);
  ExpectCalls("Leaf", 2 * rounds - 1);
  ExpectCalls("StartFiber", rounds - 1);
  ExpectCalls("SleepingFiber", rounds - 1);
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
    {"step_backtrace_slow", StepBacktraceSlow},
    {"step_exit_thread", StepExitThread},
    {"step_switch", StepSwitch},
    {},
};
