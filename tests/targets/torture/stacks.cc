// Deep stacks, and who reads them: the program itself, gdb, perf.

#include <execinfo.h>
#include <pthread.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>

#include "torture.h"

#define TRACED __attribute__((section("torture_traced")))
extern "C" const char __start_torture_traced[], __stop_torture_traced[];

namespace {
constexpr int kMostFrames = 300;
int frames_of_ours;
bool ended_at_the_top;
}  // namespace

COUNTED TRACED void ReadOwnStack() {
  void* frames[kMostFrames];
  const int count = backtrace(frames, kMostFrames);
  frames_of_ours = 0;
  for (int i = 0; i < count; ++i) {
    const bool ours = frames[i] >= __start_torture_traced && frames[i] < __stop_torture_traced;
    if (ours) ++frames_of_ours;
  }
  ended_at_the_top = count < kMostFrames;
}

// The empty asm keeps the compiler from making a loop of the recursion.
COUNTED TRACED int Descend(int depth, void (*bottom)()) {
  if (depth == 0) {
    bottom();
    return 0;
  }
  int below = Descend(depth - 1, bottom);
  asm volatile("" : "+r"(below));
  return below + 1;
}

COUNTED int Deep(int depth) {
  if (depth == 0) return 0;
  int below = Deep(depth - 1);
  asm volatile("" : "+r"(below));
  return below + 1;
}

namespace {

int Backtrace() {
  for (int depth : {0, 1, 2, 10, 100}) {
    const int returned = Descend(depth, ReadOwnStack);
    std::printf("%d: %d frames, %s\n", returned, frames_of_ours,
                ended_at_the_top ? "ended" : "not ended");
  }
  return 0;
}

void* DeepInThread(void* depth) {
  return reinterpret_cast<void*>(
      static_cast<intptr_t>(Deep(static_cast<int>(reinterpret_cast<intptr_t>(depth)))));
}

int RunDeep(int depth) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, size_t{256} << 20);
  pthread_t thread;
  pthread_create(&thread, &attributes, DeepInThread, reinterpret_cast<void*>(intptr_t{depth}));
  void* result = nullptr;
  pthread_join(thread, &result);
  std::printf("%ld\n", static_cast<long>(reinterpret_cast<intptr_t>(result)));
  return 0;
}

int Recursion() { return RunDeep(99'999); }

// Deeper than the shadow stack: counted, not recorded.
int DeepRecursion() { return RunDeep(199'999); }

int exit_code;

// Until the input ends, as somebody else stops and reads the process.
void WorkUntilInputEnds() {
  std::puts("working");
  std::fflush(stdout);
  long rounds = 0;
  char byte;
  while (read(STDIN_FILENO, &byte, 1) == 1) {
    for (int i = 0; i < 1000; ++i) sink = Leaf(sink);
    rounds += 1000;
  }
  ExpectCalls("Leaf", rounds);
  exit_code = sink == rounds ? 0 : 1;
}

int Watched() {
  std::printf("%d\n", Descend(10, WorkUntilInputEnds));
  return exit_code;
}

}  // namespace

const Case kStackCases[] = {
    {"backtrace", Backtrace},
    {"recursion", Recursion},
    {"recursion_beyond_limit", DeepRecursion},
    {"stack_watched", Watched},
    {},
};
