#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>

#include <csetjmp>
#include <cstdio>

#include "torture.h"

namespace {
sigjmp_buf jump_target;
}  // namespace

COUNTED void JumpOut(int depth) {
  if (depth == 0) siglongjmp(jump_target, 1);
  JumpOut(depth - 1);
  NOT_LAST;
}

COUNTED int JumpOften() {
  volatile int rounds = 0;
  if (sigsetjmp(jump_target, 0) != 0) rounds = rounds + 1;
  sink = Leaf(sink);
  if (rounds < 1000) JumpOut(3);
  return rounds;
}

// Every second level has a target; each jump passes two of them.
COUNTED void JumpByLevels(int depth, jmp_buf* outer) {
  jmp_buf here;
  if (depth > 0 && setjmp(here) == 0) JumpByLevels(depth - 1, depth % 2 == 0 ? outer : &here);
  sink = Leaf(sink);
  longjmp(*outer, 1);
}

COUNTED void JumpFromHandler(int) { siglongjmp(jump_target, 1); }

namespace {

int Jump() {
  std::printf("%d\n", JumpOften());
  return 0;
}

int JumpLevels() {
  static jmp_buf outermost;
  static int rounds;
  setjmp(outermost);
  if (++rounds <= 100) JumpByLevels(6, &outermost);
  std::printf("%d, %d\n", rounds, sink);
  return 0;
}

void HandleOnSignalStack(void (*handler)(int)) {
  static char memory[65536];
  stack_t stack = {};
  stack.ss_sp = memory;
  stack.ss_size = sizeof(memory);
  sigaltstack(&stack, nullptr);
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGUSR1, &action, nullptr);
}

}  // namespace

COUNTED int JumpOffSignalStack() {
  HandleOnSignalStack(JumpFromHandler);
  volatile int rounds = 0;
  if (sigsetjmp(jump_target, 1) != 0) rounds = rounds + 1;
  if (rounds < 100) raise(SIGUSR1);
  return rounds;
}

namespace {

int JumpFromSignal() {
  std::printf("%d\n", JumpOffSignalStack());
  return 0;
}

}  // namespace

const Case kJumpCases[] = {
    {"longjmp", Jump},
    {"longjmp_levels", JumpLevels},
    {"longjmp_off_signal_stack", JumpFromSignal},
    {},
};
