// Functions whose unlikely paths the compiler moves to `.cold` sections, some of which are taken.
// Calls: CheckedDivide 1000 (its cold part is entered 10 times by a jump, not by a call),
// CheckedRoot 1000 (cold part 100 times), Describe 110. No `.cold` name is a function.

#include <cstdio>
#include <stdexcept>
#include <string>

__attribute__((noipa)) std::string Describe(const char* what, int value) {
  return std::string(what) + " " + std::to_string(value);
}

__attribute__((noipa)) int CheckedDivide(int dividend, int divisor) {
  if (__builtin_expect(divisor == 0, 0)) {
    throw std::invalid_argument(Describe("divided by zero:", dividend));
  }
  return dividend / divisor;
}

__attribute__((noipa)) int CheckedRoot(int square) {
  if (__builtin_expect(square < 0, 0)) {
    throw std::domain_error(Describe("root of a negative number:", square));
  }
  int root = 0;
  while ((root + 1) * (root + 1) <= square) ++root;
  return root;
}

int main() {
  int caught = 0;
  long sum = 0;
  for (int i = 0; i < 1000; ++i) {
    try {
      sum += CheckedDivide(i * 10, i % 100);
    } catch (const std::invalid_argument&) {
      ++caught;
    }
    try {
      sum += CheckedRoot(i % 10 == 3 ? -i : i);
    } catch (const std::domain_error&) {
      ++caught;
    }
  }
  std::printf("sum %ld caught %d\n", sum, caught);
  return 0;
}
