// Part of lines.cc.

namespace lines {

inline __attribute__((noinline)) int Header(int value) { return value * value + 1; }

int Twice(int value);

}  // namespace lines
