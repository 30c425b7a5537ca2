// A program whose hooks are changed while it runs; see ../live_hooks_test.cc.
//
//   steps    a byte on standard input: 1000 calls of Leaf, one answer byte
//   hammer   threads that call, sleep, start and end, with a timer signal, until
//            standard input ends; then the numbers of calls and of errors

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <vector>

#define COUNTED extern "C" __attribute__((noinline, noipa))

std::atomic<uint64_t> errors, paused_calls, leaf_calls, thrown_calls, stable_calls, thread_calls,
    handled;
std::atomic<bool> stop;

// Threads stand inside its first five bytes most of the time.
extern "C" uint64_t Paused(uint64_t value);
asm(R"(
  .text
  .p2align 4
  .globl Paused
  .type Paused, @function
Paused:
  pause
  pause
  mov %rdi, %rax
  pause
  add $3, %rax
  ret
  .size Paused, . - Paused
)");

COUNTED uint64_t Leaf(uint64_t value) { return value * 3 + 1; }
COUNTED uint64_t InThread(uint64_t value) { return value * 3 + 1; }
COUNTED uint64_t Stable(uint64_t value) { return value ^ 1; }

COUNTED uint64_t Throws(uint64_t value) {
  if (value % 2 == 0) throw std::runtime_error("even");
  return value;
}

void Expect(bool right) {
  if (!right) ++errors;
}

COUNTED void UnhookedHandler(int) {
  const int saved = errno;
  ++handled;
  // Long enough that hooks change meanwhile.
  for (uint64_t i = 0; i < 1000; ++i) Expect(Paused(i) == i + 3);
  paused_calls += 1000;
  errno = saved;
}

COUNTED void UnhookedCaller(bool signal_stack) {
  std::vector<char> memory(65536);
  stack_t stack = {};
  stack.ss_sp = memory.data();
  stack.ss_size = memory.size();
  if (signal_stack) sigaltstack(&stack, nullptr);
  for (uint64_t i = 0; !stop; ++i) {
    Expect(Paused(i) == i + 3);
    Expect(Leaf(i) == i * 3 + 1);
    Expect(Stable(i) == (i ^ 1));
    uint64_t result = 0;
    try {
      result = Throws(i);
    } catch (const std::runtime_error&) {
      result = i + 1;
    }
    Expect(result == (i | 1));
    ++paused_calls, ++leaf_calls, ++thrown_calls, ++stable_calls;
  }
  stack.ss_flags = SS_DISABLE;
  sigaltstack(&stack, nullptr);
}

// Signals interrupt it inside the code that changes.
COUNTED void UnhookedSpinner() {
  for (uint64_t i = 0; !stop; ++i) {
    Expect(Paused(i) == i + 3);
    ++paused_calls;
  }
}

// No signal handler runs here, so no call may be interrupted.
COUNTED void UnhookedSleeper() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  int ends[2];
  if (pipe(ends) != 0) abort();
  while (!stop) {
    const timespec some = {0, 300000};
    Expect(nanosleep(&some, nullptr) == 0);
    pollfd input = {ends[0], POLLIN, 0};
    Expect(poll(&input, 1, 1) == 0);
    timeval wait = {0, 300};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    Expect(select(ends[0] + 1, &set, nullptr, nullptr, &wait) == 0);
  }
}

COUNTED void UnhookedStarter() {
  while (!stop) {
    std::thread([] {
      Expect(InThread(7) == 22);
      ++thread_calls;
    }).join();
    usleep(1000);
  }
}

COUNTED void UnhookedHammer() {
  struct sigaction action = {};
  action.sa_handler = UnhookedHandler;
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  sigaction(SIGALRM, &action, nullptr);
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) threads.emplace_back(UnhookedCaller, i == 0);
  threads.emplace_back(UnhookedSpinner);
  threads.emplace_back(UnhookedSleeper);
  threads.emplace_back(UnhookedStarter);
  sigset_t alarm;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  pthread_sigmask(SIG_BLOCK, &alarm, nullptr);
  const itimerval often = {{0, 1000}, {0, 1000}};
  setitimer(ITIMER_REAL, &often, nullptr);
  char byte;
  Expect(read(0, &byte, 1) == 0);
  stop = true;
  for (std::thread& thread : threads) thread.join();
  std::printf("errors %lu\npaused %lu\nleaf %lu\nthrown %lu\nstable %lu\nthread %lu\n",
              errors.load(), paused_calls.load(), leaf_calls.load(), thrown_calls.load(),
              stable_calls.load(), thread_calls.load());
}

COUNTED void UnhookedSteps() {
  char byte;
  while (read(0, &byte, 1) == 1) {
    uint64_t value = 0;
    for (int i = 0; i < 1000; ++i) value = Leaf(value);
    if (write(1, &byte, 1) != 1) abort();
  }
}

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "hammer") == 0) UnhookedHammer();
  if (argc > 1 && std::strcmp(argv[1], "steps") == 0) UnhookedSteps();
  return 0;
}
