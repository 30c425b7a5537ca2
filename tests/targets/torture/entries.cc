// First instructions that cannot stay what they are under a hook: those that are moved, and those
// for which the function is refused, so that calls.tsv has no calls of it.

#include <cstdio>

#include "torture.h"

asm(R"(
  .macro FUNCTION name
  .balign 16
  .globl \name
  .type \name, @function
  \name:
  .endm
  .macro END name
  .size \name, .-\name
  .endm

  .data
StartValue:
  .long 40
  .text

FUNCTION StartsWithAddress       # relative to itself
  mov StartValue(%rip), %eax
  add %edi, %eax
  ret
END StartsWithAddress

FUNCTION StartsWithBranch
  test %edi, %edi
  jle 1f
  mov $5, %eax
  ret
1:
  mov $6, %eax
  ret
END StartsWithBranch

FUNCTION StartsWithCounter
  mov %edi, %ecx
  jrcxz 1f
  mov $7, %eax
  ret
1:
  mov $8, %eax
  ret
END StartsWithCounter

FUNCTION StartsWithMark          # -fcf-protection
  endbr64
  lea 1(%rdi), %eax
  xor $1, %eax
  ret
END StartsWithMark

FUNCTION EndsEarly               # 4 bytes and room behind them
  lea 2(%rdi), %eax
  ret
END EndsEarly

FUNCTION EndsBeforeAnother       # 4 bytes and no room
  lea 3(%rdi), %eax
  ret
END EndsBeforeAnother
FollowsAtOnce:
  .globl FollowsAtOnce
  .type FollowsAtOnce, @function
  lea 4(%rdi), %eax
  nopl (%rax)
  ret
END FollowsAtOnce

FUNCTION LoopsIntoStart
  mov %edi, %eax
1:
  add $3, %eax
  sub $1, %edi
  jns 1b
  ret
END LoopsIntoStart

FUNCTION LoopsToStart
  sub $1, %edi
  add $3, %esi
  test %edi, %edi
  jns LoopsToStart
  mov %esi, %eax
  ret
END LoopsToStart

FUNCTION IsEnteredByTable        # behind its first instruction
  xor %esi, %esi
1:
  lea 9(%rdi,%rsi), %eax
  ret
END IsEnteredByTable

FUNCTION JumpsByTable
  mov $1, %esi
  lea 2f(%rip), %rax
  movslq (%rax), %rcx
  add %rcx, %rax
  jmp *%rax
END JumpsByTable
  .section .rodata
  .balign 4
2:
  .long 1b - 2b
  .text

FUNCTION StartsWithShortCall     # returns to its third byte
  call *%rsi
  nopl (%rax)
  add $1, %eax
  ret
END StartsWithShortCall

FUNCTION ReadsCallersRbx
  lea (%rbx,%rdi), %eax
  nopl (%rax)
  ret
END ReadsCallersRbx

FUNCTION UnhookedPassRbx
  push %rbx
  mov $1000, %ebx
  call ReadsCallersRbx
  pop %rbx
  ret
END UnhookedPassRbx
)");

extern "C" {
int StartsWithAddress(int value);
int StartsWithBranch(int value);
int StartsWithCounter(int value);
int StartsWithMark(int value);
int EndsEarly(int value);
int EndsBeforeAnother(int value);
int FollowsAtOnce(int value);
int LoopsIntoStart(int value);
int LoopsToStart(int value, int sum);
int IsEnteredByTable(int value);
int JumpsByTable(int value);
int StartsWithShortCall(int value, int (*function)(int));
int UnhookedPassRbx(int value);
}

namespace {

int Moved() {
  int sum = 0;
  for (int i = 0; i < 100; ++i) {
    sum += StartsWithAddress(i) + StartsWithBranch(i - 50) + StartsWithCounter(i - 50) +
           StartsWithMark(i) + EndsEarly(i);
  }
  std::printf("%d\n", sum);
  return 0;
}

int Refused() {
  int sum = 0;
  for (int i = 0; i < 100; ++i) {
    sum += EndsBeforeAnother(i) + FollowsAtOnce(i) + LoopsIntoStart(i) + LoopsToStart(i, 1) +
           IsEnteredByTable(i) + JumpsByTable(i) + StartsWithShortCall(i, Leaf) +
           UnhookedPassRbx(i);
  }
  std::printf("%d\n", sum);
  return 0;
}

}  // namespace

const Case kEntryCases[] = {
    {"entry_moved", Moved},
    {"entry_refused", Refused},
    {},
};
