// Functions in C: frames that exceptions pass, and nested functions.

#ifdef __clang__
#define COUNTED __attribute__((noinline, weak))
#else
#define COUNTED __attribute__((noinline, noipa))
#endif

int Leaf(int a);

COUNTED int CallBackThroughC(int (*callback)(int), int value) {
  int result = callback(value);
  __asm__ volatile("" : "+r"(result));
  return result;
}

#ifndef __clang__
// The nested function finds `sum` by the static chain, r10; where its address is
// taken, a trampoline on the stack loads it.
COUNTED int SumNested(int rounds) {
  int sum = 0;
  __attribute__((noinline, noipa)) int AddNested(int value) {
    sum += Leaf(value);
    return sum;
  }
  for (int i = 0; i < rounds; ++i) {
    AddNested(i);
    CallBackThroughC(AddNested, i);
  }
  return sum;
}
#endif
