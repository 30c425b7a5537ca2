// Ways to pass arguments, to return values and to call.

#include <immintrin.h>

#include <cstdarg>
#include <cstdint>
#include <cstdio>

#include "torture.h"

extern "C" int SumNested(int rounds);

COUNTED int IsEven(int n);
COUNTED int IsOdd(int n) { return n == 0 ? 0 : IsEven(n - 1); }
COUNTED int IsEven(int n) { return n == 0 ? 1 : IsOdd(n - 1); }

// Jumps as tail calls whatever the compiler does: by name and by pointer.
asm(R"(
  .text
  .globl JumpToLeaf
  .type JumpToLeaf, @function
JumpToLeaf:
  add $10, %edi
  nopl (%rax)
  jmp TailLeaf
  .size JumpToLeaf, .-JumpToLeaf
  .globl JumpToPointer
  .type JumpToPointer, @function
JumpToPointer:
  xchg %rdi, %rsi
  nopl (%rax)
  jmp *%rsi
  .size JumpToPointer, .-JumpToPointer
)");
extern "C" int JumpToLeaf(int value);
extern "C" int JumpToPointer(int (*function)(int), int value);

COUNTED long SumInts(int count, ...) {
  va_list list;
  va_start(list, count);
  long sum = 0;
  for (int i = 0; i < count; ++i) sum += va_arg(list, int) * (i + 1);
  va_end(list);
  return sum;
}

// The prologue saves the vector registers only if al says so.
COUNTED double SumMixed(const char* types, ...) {
  va_list list;
  va_start(list, types);
  double sum = 0;
  for (; *types != 0; ++types) {
    if (*types == 'd') sum += va_arg(list, double);
    if (*types == 'i') sum += va_arg(list, int);
    if (*types == 'l') sum += static_cast<double>(va_arg(list, long double));
  }
  va_end(list);
  return sum;
}

COUNTED int FormatInto(char* text, size_t size, const char* format, ...) {
  va_list list;
  va_start(list, format);
  const int length = vsnprintf(text, size, format, list);
  va_end(list);
  return length;
}

struct TwoLongs {
  long a, b;
};
struct TwoDoubles {
  double a, b;
};
struct Mixed {
  long a;
  double b;
};
struct Large {
  long values[8];
};
struct Extended {
  long double value;
};

COUNTED TwoLongs ReturnLongs(long a) { return {a, a * 2}; }
COUNTED TwoDoubles ReturnDoubles(double a) { return {a, a * 2}; }
COUNTED Mixed ReturnMixed(Mixed m) { return {m.a + 1, m.b + 1}; }
COUNTED Large ReturnLarge(Large large) {
  for (long& value : large.values) value += 1;
  return large;
}
COUNTED long double ReturnX87(long double a) { return a / 3; }
COUNTED Extended ReturnExtended(Extended a) { return {a.value / 7}; }
COUNTED __int128 ReturnInt128(__int128 a) { return a * a; }
COUNTED float _Complex ReturnComplexFloat(float _Complex a) { return a * a; }
COUNTED double _Complex ReturnComplex(double _Complex a) { return a * a; }
COUNTED long double _Complex ReturnComplexX87(long double _Complex a) { return a * a; }

#define WITH_AVX2 __attribute__((target("avx2")))
#define WITH_AVX512 __attribute__((target("avx512f")))

COUNTED WITH_AVX2 __m256i AddVectors256(__m256i a, __m256i b, __m256i c) {
  return _mm256_add_epi32(_mm256_add_epi32(a, b), c);
}

COUNTED WITH_AVX512 __m512i AddVectors512(__m512i a, __m512i b, __m512i c, __mmask16 mask) {
  return _mm512_mask_add_epi32(a, mask, _mm512_add_epi32(a, b), c);
}

namespace {

int TailCalls() {
  int sum = 0;
  for (int i = 0; i < 100; ++i) {
    sum += IsEven(99 + i % 2) + JumpToLeaf(i) + JumpToPointer(TailLeaf, i);
  }
  std::printf("%d\n", sum);
  return 0;
}

int Variadic() {
  double sum = 0;
  char text[100];
  for (int i = 0; i < 100; ++i) {
    sum += SumInts(8, i, 2, 3, 4, 5, 6, 7, 8);
    sum += SumMixed("dididididididididld", 1.5, i, 2.5, 2, 3.5, 3, 4.5, 4, 5.5, 5, 6.5, 6, 7.5, 7,
                    8.5, 8, 9.5, 10.25L, 0.125);
    sum += SumMixed("iii", 1, 2, i) + SumMixed("");
    sum += FormatInto(text, sizeof(text), "%d %s %g %Lg", i, "text", i / 4.0, 1.0L / 8);
  }
  std::printf("%g %s\n", sum, text);
  return 0;
}

int Returns() {
  for (int i = 0; i < 100; ++i) {
    const TwoLongs longs = ReturnLongs(i);
    const TwoDoubles doubles = ReturnDoubles(i / 3.0);
    const Mixed mixed = ReturnMixed({i, i / 7.0});
    const Large large = ReturnLarge({{i, 1, 2, 3, 4, 5, 6, 7}});
    const __int128 wide = ReturnInt128(static_cast<__int128>(i) << 40);
    std::printf("%ld %.17g %ld %.17g %ld %lx ", longs.a + longs.b, doubles.a + doubles.b, mixed.a,
                mixed.b, large.values[0] + large.values[7], static_cast<long>(wide >> 64));
  }
  return 0;
}

#define MAKE_COMPLEX(name, type)                   \
  type _Complex name(int real, int imaginary) {    \
    type _Complex value;                           \
    __real__ value = static_cast<type>(real);      \
    __imag__ value = static_cast<type>(imaginary); \
    return value;                                  \
  }
MAKE_COMPLEX(ComplexFloat, float)
MAKE_COMPLEX(Complex, double)
MAKE_COMPLEX(ComplexX87, long double)

int X87Returns() {
  for (int i = 0; i < 100; ++i) {
    // A value that stays on the x87 stack across calls as far as the ABI allows.
    const long double value = ReturnX87(i) + ReturnExtended({i / 3.0L}).value;
    const float _Complex narrow = ReturnComplexFloat(ComplexFloat(i, 1));
    const double _Complex normal = ReturnComplex(Complex(i, 2));
    const long double _Complex wide = ReturnComplexX87(ComplexX87(i, 3));
    std::printf("%.20Lg %.9g %.17g %.20Lg ", value, __real__ narrow + __imag__ narrow,
                __real__ normal - __imag__ normal, __real__ wide * __imag__ wide);
  }
  return 0;
}

WITH_AVX2 int RunAvx2() {
  __m256i sum = _mm256_set1_epi32(1);
  for (int i = 0; i < 100; ++i) {
    sum = AddVectors256(sum, _mm256_set_epi32(1, 2, 3, 4, 5, 6, 7, 8), _mm256_set1_epi32(i));
  }
  int lanes[8];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), sum);
  for (int lane : lanes) std::printf("%d ", lane);
  return 0;
}

WITH_AVX512 int RunAvx512() {
  __m512i sum = _mm512_set1_epi32(1);
  for (int i = 0; i < 100; ++i) {
    sum = AddVectors512(sum, _mm512_set1_epi32(3), _mm512_set1_epi32(i),
                        static_cast<__mmask16>(0x5A5A + i));
  }
  int lanes[16];
  _mm512_storeu_si512(lanes, sum);
  for (int lane : lanes) std::printf("%d ", lane);
  return 0;
}

int Avx2() {
  return __builtin_cpu_supports("avx2") ? RunAvx2() : Skip("this processor has no AVX2");
}

int Avx512() {
  return __builtin_cpu_supports("avx512f") ? RunAvx512() : Skip("this processor has no AVX-512");
}

int StaticChain() {
#ifdef __clang__
  return Skip("clang has no nested functions");
#else
  std::printf("%d\n", SumNested(100));
  return 0;
#endif
}

}  // namespace

const Case kCallCases[] = {
    {"tail_call", TailCalls},
    {"variadic", Variadic},
    {"returns", Returns},
    {"returns_x87", X87Returns},
    {"avx2", Avx2},
    {"avx512", Avx512},
    {"static_chain", StaticChain},
    {},
};
