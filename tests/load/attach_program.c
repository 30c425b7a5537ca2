// The program that tests/load/attach attaches to, linked with a table of generated functions:
//
//   attach_program THREADS
//
// All but two of its threads call a few functions of the table every 20 ms. It answers a line for each letter:
//
//   s   ns a call of the table's first functions takes in the main thread, best of many rounds
//   w   a thread begins to look at the clock all the time
//   g   the longest time in us between two of its looks since the last g

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

typedef uint64_t (*Function)(uint64_t);
extern const Function kFunctions[];
extern const unsigned kFunctionCount;

enum { kBatch = 64, kRepeats = 20000, kRounds = 60, kCallsAtOnce = 20, kPauseMicroseconds = 20000 };

static _Atomic uint64_t longest_gap;

static uint64_t Nanoseconds(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void* Work(void* argument) {
  uint64_t value = (uintptr_t)argument;
  for (unsigned next = (unsigned)value * 131;; usleep(kPauseMicroseconds)) {
    for (int i = 0; i < kCallsAtOnce; ++i) value = kFunctions[next++ % kFunctionCount](value);
  }
  return NULL;
}

static void* Watch(void* argument) {
  uint64_t last = Nanoseconds(CLOCK_MONOTONIC);
  for (;;) {
    const uint64_t now = Nanoseconds(CLOCK_MONOTONIC);
    uint64_t longest = atomic_load_explicit(&longest_gap, memory_order_relaxed);
    while (now - last > longest && !atomic_compare_exchange_weak(&longest_gap, &longest, now - last)) {
    }
    last = now;
  }
  return argument;
}

static double Speed(void) {
  double best = 1e9;
  uint64_t value = 1;
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t begin = Nanoseconds(CLOCK_THREAD_CPUTIME_ID);
    for (int i = 0; i < kRepeats; ++i) {
      for (int k = 0; k < kBatch; ++k) value = kFunctions[k](value);
    }
    const double each = (double)(Nanoseconds(CLOCK_THREAD_CPUTIME_ID) - begin) / (kRepeats * kBatch);
    if (each < best) best = each;
  }
  // The calls must not be left out.
  return value == 0 ? 0 : best;
}

static void Start(void* (*run)(void*), uintptr_t argument) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, run, (void*)argument) != 0) exit(1);
}

int main(int argc, char** argv) {
  const int threads = argc > 1 ? atoi(argv[1]) : 16;
  for (int i = 0; i < threads - 2; ++i) Start(Work, (uintptr_t)i);
  printf("ready\n");
  fflush(stdout);
  for (char letter; read(0, &letter, 1) == 1; fflush(stdout)) {
    if (letter == 's') printf("%.4f\n", Speed());
    if (letter == 'g') printf("%.1f\n", (double)atomic_exchange(&longest_gap, 0) / 1000);
    if (letter == 'w') {
      Start(Watch, 0);
      printf("watching\n");
    }
  }
  return 0;
}
