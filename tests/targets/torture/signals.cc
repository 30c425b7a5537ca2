#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#include <cstdio>

#include "torture.h"

COUNTED void OnSignal(int) { sink = Leaf(sink); }

// One handler interrupts the other.
COUNTED void OnNestedSignal(int) {
  sink = Leaf(sink);
  raise(SIGUSR1);
}

namespace {

void Handle(int number, void (*handler)(int), int flags) {
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = flags;
  sigaction(number, &action, nullptr);
}

void UseSignalStack(char* memory, size_t size) {
  stack_t stack = {};
  stack.ss_sp = memory;
  stack.ss_size = size;
  stack.ss_flags = memory == nullptr ? SS_DISABLE : 0;
  sigaltstack(&stack, nullptr);
}

int Handlers() {
  Handle(SIGUSR1, OnSignal, 0);
  Handle(SIGUSR2, OnNestedSignal, 0);
  for (int i = 0; i < 100; ++i) raise(SIGUSR2);
  std::printf("%d\n", sink);
  return 0;
}

int OnOtherStack() {
  static char memory[65536];
  UseSignalStack(memory, sizeof(memory));
  Handle(SIGUSR1, OnSignal, SA_ONSTACK);
  Handle(SIGUSR2, OnNestedSignal, SA_ONSTACK);
  for (int i = 0; i < 100; ++i) raise(SIGUSR2);
  std::printf("%d\n", sink);
  return 0;
}

}  // namespace

COUNTED void RaiseHere() {
  raise(SIGUSR1);
  NOT_LAST;
}

// The signal stack lies above the frames it interrupts, inside their stack.
COUNTED int SignalStackInside() {
  char memory[65536];
  UseSignalStack(memory, sizeof(memory));
  Handle(SIGUSR1, OnSignal, SA_ONSTACK | SA_NODEFER);
  for (int i = 0; i < 100; ++i) {
    sink = Leaf(sink);
    RaiseHere();
  }
  UseSignalStack(nullptr, 0);
  return sink;
}

namespace {

int StackInside() {
  std::printf("%d\n", SignalStackInside());
  return 0;
}

}  // namespace

// The handler runs at higher addresses than what it interrupts.
COUNTED void* RaiseBelow(void* memory) {
  UseSignalStack(static_cast<char*>(memory), 65536);
  Handle(SIGUSR1, OnSignal, SA_ONSTACK);
  for (int i = 0; i < 100; ++i) {
    raise(SIGUSR1);
    sink = Leaf(sink);
  }
  UseSignalStack(nullptr, 0);
  return nullptr;
}

namespace {

int StackAbove() {
  char memory[65536];
  pthread_t thread;
  pthread_create(&thread, nullptr, RaiseBelow, memory);
  pthread_join(thread, nullptr);
  std::printf("%d\n", sink);
  return 0;
}

volatile long ticks;

}  // namespace

COUNTED void OnTimer(int) {
  ticks = ticks + 1;
  sink = Leaf(sink);
}

namespace {

// Interrupts the stubs themselves, at whatever instruction.
int Timer() {
  Handle(SIGALRM, OnTimer, 0);
  itimerval interval = {{0, 20}, {0, 20}};
  setitimer(ITIMER_REAL, &interval, nullptr);
  long rounds = 0;
  while (ticks < 2000) {
    sink = Leaf(sink);
    ++rounds;
  }
  interval = {};
  setitimer(ITIMER_REAL, &interval, nullptr);
  ExpectCalls("OnTimer", ticks);
  ExpectCalls("Leaf", ticks + rounds);
  std::puts("interrupted");
  return 0;
}

}  // namespace

const Case kSignalCases[] = {
    {"signal_handlers", Handlers},
    {"signal_stack", OnOtherStack},
    {"signal_stack_inside_stack", StackInside},
    {"signal_stack_above", StackAbove},
    {"signal_timer", Timer},
    {},
};
