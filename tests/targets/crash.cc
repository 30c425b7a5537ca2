// Dies by SIGSEGV three calls deep, or by SIGABRT when called as `crash abort`.
// Before that `Step` is called exactly 100 times, so a recording of a crash has known counts.

#include <cstdlib>
#include <cstring>

__attribute__((noipa)) int Step(int value) { return value + 1; }

__attribute__((noipa)) int ReadThrough(volatile int* pointer) { return *pointer + 1; }

__attribute__((noipa)) int Deeper(volatile int* pointer) { return ReadThrough(pointer) + 1; }

__attribute__((noipa)) int Fail(bool by_abort) {
  if (by_abort) std::abort();
  return Deeper(nullptr) + 1;
}

int main(int argc, char** argv) {
  int steps = 0;
  for (int i = 0; i < 100; ++i) steps = Step(steps);
  return Fail(argc == 2 && std::strcmp(argv[1], "abort") == 0) + steps;
}
