// Everything a function may find in registers, and everything its caller may find
// in them afterwards (-fipa-ra lets a caller rely on more than the ABI promises).

#include <immintrin.h>
#include <pthread.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "torture.h"

namespace {

// In the order in which the functions below store them; rsp is not among them.
constexpr const char* kNames[] = {"rax", "rcx", "rdx", "rbx", "rbp", "rsi", "rdi", "r8",
                                  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
constexpr int kGeneral = 15;
constexpr int kRbx = 3;

struct Registers {
  uint64_t general[kGeneral];
  uint64_t masks[8];
  alignas(64) unsigned char vectors[32][64];
  long double x87[4];
};

}  // namespace

// The callee's view (registers_inside) is stored by StoreRegisters, the caller's
// (registers_after) behind the call; registers_before is what both must be.
extern "C" {
Registers registers_before;
Registers registers_inside;
Registers registers_after;
uint64_t registers_saved_stack;
void StoreRegisters();
void UnhookedCallWithRegisters();
void StoreVectors();
void UnhookedCallWithVectors();
}

asm(R"(
  .macro STORE_GENERAL where
  mov %rax, \where(%rip)
  mov %rcx, \where+8(%rip)
  mov %rdx, \where+16(%rip)
  mov %rbx, \where+24(%rip)
  mov %rbp, \where+32(%rip)
  mov %rsi, \where+40(%rip)
  mov %rdi, \where+48(%rip)
  mov %r8, \where+56(%rip)
  mov %r9, \where+64(%rip)
  mov %r10, \where+72(%rip)
  mov %r11, \where+80(%rip)
  mov %r12, \where+88(%rip)
  mov %r13, \where+96(%rip)
  mov %r14, \where+104(%rip)
  mov %r15, \where+112(%rip)
  .endm
  .macro LOAD_GENERAL where
  mov \where(%rip), %rax
  mov \where+8(%rip), %rcx
  mov \where+16(%rip), %rdx
  mov \where+24(%rip), %rbx
  mov \where+32(%rip), %rbp
  mov \where+40(%rip), %rsi
  mov \where+48(%rip), %rdi
  mov \where+56(%rip), %r8
  mov \where+64(%rip), %r9
  mov \where+72(%rip), %r10
  mov \where+80(%rip), %r11
  mov \where+88(%rip), %r12
  mov \where+96(%rip), %r13
  mov \where+104(%rip), %r14
  mov \where+112(%rip), %r15
  .endm
  .macro PUSH_SAVED
  push %rbx
  push %rbp
  push %r12
  push %r13
  push %r14
  push %r15
  sub $8, %rsp
  .endm
  .macro POP_SAVED
  add $8, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbp
  pop %rbx
  .endm

  .text
  .globl StoreRegisters
  .type StoreRegisters, @function
StoreRegisters:
  push %rbx
  STORE_GENERAL registers_inside
  pop %rbx
  ret
  .size StoreRegisters, .-StoreRegisters

  .globl UnhookedCallWithRegisters
  .type UnhookedCallWithRegisters, @function
UnhookedCallWithRegisters:
  PUSH_SAVED
  LOAD_GENERAL registers_before
  call StoreRegisters
  STORE_GENERAL registers_after
  POP_SAVED
  ret
  .size UnhookedCallWithRegisters, .-UnhookedCallWithRegisters

  .globl StoreVectors
  .type StoreVectors, @function
StoreVectors:
  lea registers_inside+192(%rip), %rdi
  .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
  vmovdqu64 %zmm\n, 64*\n(%rdi)
  .endr
  .irp n, 0,1,2,3,4,5,6,7
  kmovq %k\n, registers_inside+120+8*\n(%rip)
  .endr
  ret
  .size StoreVectors, .-StoreVectors

  .globl UnhookedCallWithVectors
  .type UnhookedCallWithVectors, @function
UnhookedCallWithVectors:
  PUSH_SAVED
  lea registers_before+192(%rip), %rdi
  .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
  vmovdqu64 64*\n(%rdi), %zmm\n
  .endr
  .irp n, 0,1,2,3,4,5,6,7
  kmovq registers_before+120+8*\n(%rip), %k\n
  .endr
  fldt registers_before+2240(%rip)
  fldt registers_before+2256(%rip)
  fldt registers_before+2272(%rip)
  fldt registers_before+2288(%rip)
  call StoreVectors
  fstpt registers_after+2288(%rip)
  fstpt registers_after+2272(%rip)
  fstpt registers_after+2256(%rip)
  fstpt registers_after+2240(%rip)
  lea registers_after+192(%rip), %rdi
  .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
  vmovdqu64 %zmm\n, 64*\n(%rdi)
  .endr
  .irp n, 0,1,2,3,4,5,6,7
  kmovq %k\n, registers_after+120+8*\n(%rip)
  .endr
  vzeroupper
  POP_SAVED
  ret
  .size UnhookedCallWithVectors, .-UnhookedCallWithVectors
)");

static_assert(offsetof(Registers, masks) == 120);
static_assert(offsetof(Registers, vectors) == 192);
static_assert(offsetof(Registers, x87) == 2240);

// Nothing here is hooked: the only calls are those whose registers are compared, by a thread that
// has made none before. So the first takes the slow way in, and as many that the thread has to get
// more memory for its lane take the slow way out.
namespace Unhooked {

constexpr int kRounds = 3000;

void FillRegisters(int round) {
  uint64_t next = static_cast<uint64_t>(round) * 0x9E3779B97F4A7C15 + 1;
  auto* bytes = reinterpret_cast<unsigned char*>(&registers_before);
  for (size_t i = 0; i < offsetof(Registers, x87); ++i) {
    next = next * 6364136223846793005 + 1442695040888963407;
    bytes[i] = static_cast<unsigned char>(next >> 56);
  }
  for (int i = 0; i < 4; ++i) registers_before.x87[i] = (round + 1) / (i + 3.0L);
}

// No function may ask what rbx is: it belongs to the caller's caller.
int CompareGeneral(const char* when, const Registers& got) {
  int wrong = 0;
  for (int i = 0; i < kGeneral; ++i) {
    if (i == kRbx && &got == &registers_inside) continue;
    if (got.general[i] == registers_before.general[i]) continue;
    ++wrong;
    std::printf("%s differs %s\n", kNames[i], when);
  }
  return wrong;
}

int CheckGeneral() {
  for (int round = 0; round < kRounds; ++round) {
    FillRegisters(round);
    UnhookedCallWithRegisters();
    if (CompareGeneral("inside", registers_inside) + CompareGeneral("after", registers_after) !=
        0) {
      return 1;
    }
  }
  std::puts("equal");
  return 0;
}

bool VectorsEqual(const Registers& got) {
  return std::memcmp(got.vectors, registers_before.vectors, sizeof(got.vectors)) == 0 &&
         std::memcmp(got.masks, registers_before.masks, sizeof(got.masks)) == 0;
}

int CheckVectors() {
  for (int round = 0; round < kRounds; ++round) {
    FillRegisters(round);
    UnhookedCallWithVectors();
    if (!VectorsEqual(registers_inside) || !VectorsEqual(registers_after)) return 1;
    for (int i = 0; i < 4; ++i) {
      if (registers_after.x87[i] != registers_before.x87[i]) return 2;
    }
  }
  std::puts("equal");
  return 0;
}

void* RunCheck(void* check) {
  return reinterpret_cast<void*>(intptr_t{reinterpret_cast<int (*)()>(check)()});
}

}  // namespace Unhooked

namespace {

int InThread(int (*check)()) {
  pthread_t thread;
  pthread_create(&thread, nullptr, Unhooked::RunCheck, reinterpret_cast<void*>(check));
  void* result = nullptr;
  pthread_join(thread, &result);
  return static_cast<int>(reinterpret_cast<intptr_t>(result));
}

int GeneralRegisters() { return InThread(Unhooked::CheckGeneral); }

int VectorRegisters() {
  if (!__builtin_cpu_supports("avx512bw")) return Skip("this processor has no AVX-512BW");
  return InThread(Unhooked::CheckVectors);
}

}  // namespace

// A local function whose register use the compiler knows: with -fipa-ra the loop
// keeps values in registers that the ABI lets a callee destroy.
__attribute__((noinline)) static int AddOne(int value) {
  asm volatile("add $1, %0\n nopw 0(%%rax,%%rax)" : "+r"(value));
  return value;
}

namespace {

int IpaRegisters() {
  unsigned a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7;
  for (int i = 0; i < 1000; ++i) {
    const auto next = static_cast<unsigned>(AddOne(i));
    a += b ^ next;
    b += c * next;
    c ^= d + a;
    d += e - b;
    e = e * 3 + f;
    f += g ^ c;
    g += a * 5;
  }
  std::printf("%u %u %u %u %u %u %u\n", a, b, c, d, e, f, g);
  return 0;
}

}  // namespace

const Case kRegisterCases[] = {
    {"registers_general", GeneralRegisters},
    {"registers_vector", VectorRegisters},
    {"registers_ipa_ra", IpaRegisters},
    {},
};
