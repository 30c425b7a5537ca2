// A program whose calls can be counted by reading it. Four threads each run
// Worker; the numbers are in ../traced_process_test.cc.

#include <cstdarg>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#define COUNTED extern "C" __attribute__((noinline, noipa))

volatile int sink;

COUNTED int Leaf(int a) { return a + 1; }

// The empty asm keeps the compiler from making a loop of the recursion.
COUNTED int Recurse(int depth) {
  if (depth == 0) return 0;
  int below = Recurse(depth - 1);
  asm volatile("" : "+r"(below));
  return below + 1;
}

COUNTED void ThrowAtDepth(int depth) {
  if (depth == 0) throw std::runtime_error("bottom");
  ThrowAtDepth(depth - 1);
  sink = sink + 1;
}

COUNTED void Rethrow() {
  try {
    ThrowAtDepth(2);
  } catch (...) {
    sink = sink + 1;
    throw;
  }
}

COUNTED size_t Nested(int seed) {
  int a = seed, b = seed + 1, c = seed + 2;
  for (int i = 0; i < 3; ++i) {
    a += Leaf(i);
    b += Leaf(a);
    c += Leaf(b);
  }
  try {
    try {
      Rethrow();
    } catch (const std::exception& error) {
      a += static_cast<int>(std::string(error.what()).size());
      throw std::string("second");
    }
  } catch (const std::string& text) {
    return static_cast<size_t>(a + b + c) + text.size();
  }
  return 0;
}

struct Part {
  __attribute__((noinline, noipa)) explicit Part(int depth) : text("part") {
    if (depth > 0) ThrowAtDepth(depth);
  }
  __attribute__((noinline, noipa)) ~Part() { sink = sink + 1; }
  std::string text;
};

COUNTED int Construct(int depth) {
  try {
    Part outer(0);
    Part inner(depth);
    return static_cast<int>(inner.text.size());
  } catch (const std::runtime_error&) {
    return -1;
  }
}

COUNTED double Sum(const char* kinds, ...) {
  va_list values;
  va_start(values, kinds);
  double sum = 0;
  for (; *kinds != 0; ++kinds) {
    sum += *kinds == 'd' ? va_arg(values, double) : va_arg(values, int);
  }
  va_end(values);
  return sum;
}

COUNTED int TailTarget(int value) { return value * 2; }
COUNTED int TailCaller(int value) { return TailTarget(value + 1); }

COUNTED void Worker(int* result) {
  int value = 0;
  for (int i = 0; i < 1000; ++i) value = Leaf(value);
  value += Recurse(100);
  value += static_cast<int>(Nested(1));
  value += Construct(0) + Construct(1);
  value += static_cast<int>(Sum("did", 1.5, 2, 3.5));
  value += TailCaller(4);
  *result = value;
}

int main() {
  std::vector<std::thread> threads;
  int results[4];
  for (int& result : results) threads.emplace_back(Worker, &result);
  for (std::thread& thread : threads) thread.join();
  for (int result : results) std::printf("%d\n", result);
  return 7;
}
