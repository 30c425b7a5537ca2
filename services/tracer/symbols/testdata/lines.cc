// Compiled into the files beside it by `make`; tests know these line numbers.

#include "lines.h"

namespace lines {

int Twice(int value) { return Header(value) * 2; }

static __attribute__((noinline)) int
Split(int first,
      int second) {
  return first * second;
}

int Both(int value) {
  return Split(Twice(value), value);
}

}  // namespace lines
