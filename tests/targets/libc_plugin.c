/* The library of libc_corners. */

static volatile int calls;

__attribute__((noipa)) int plugin_twice(int value) {
  ++calls;
  return 2 * value;
}
