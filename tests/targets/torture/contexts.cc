#include <pthread.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#if defined(__cpp_impl_coroutine)
#include <coroutine>
#endif

#include "torture.h"

namespace {

constexpr size_t kStackBytes = 64 * 1024;
constexpr int kRing = 8;

char* NewStack() {
  void* memory =
      mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  return static_cast<char*>(memory);
}

ucontext_t main_context;
ucontext_t contexts[kRing];

}  // namespace

// An exception inside each coroutine, while the others sleep.
COUNTED int ThrowInside(int value) {
  Guard guard;
  throw value;
}

COUNTED void ContextBody(int self) {
  for (int i = 0; i < 50; ++i) {
    try {
      ThrowInside(i);
    } catch (int value) {
      sink = sink + value;
    }
    swapcontext(&contexts[self], &contexts[(self + 1) % kRing]);
  }
}

namespace {

// A ring: each resumes the next; when one ends, the main context goes on.
int Ucontext() {
  for (int i = 0; i < kRing; ++i) {
    getcontext(&contexts[i]);
    contexts[i].uc_stack.ss_sp = NewStack();
    contexts[i].uc_stack.ss_size = kStackBytes;
    contexts[i].uc_link = &main_context;
    makecontext(&contexts[i], reinterpret_cast<void (*)()>(ContextBody), 1, i);
  }
  for (int i = 0; i < kRing; ++i) swapcontext(&main_context, &contexts[i]);
  std::printf("%d\n", sink);
  return 0;
}

}  // namespace

// SwitchStack(&saved, other): sleeps here until another switch to `saved`.
asm(R"(
  .text
  .globl SwitchStack, UnhookedSwitchStack
  .type SwitchStack, @function
SwitchStack:
  nopl (%rax)
  nop
  jmp UnhookedSwitchStack
  .size SwitchStack, .-SwitchStack
  .type UnhookedSwitchStack, @function
UnhookedSwitchStack:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
  .size UnhookedSwitchStack, .-UnhookedSwitchStack
)");
extern "C" void SwitchStack(void** saved, void* other);
extern "C" void UnhookedSwitchStack(void** saved, void* other);

namespace {

struct Fiber {
  char* memory = nullptr;
  void* saved = nullptr;
  void* caller = nullptr;
  int value = 0;
  int rounds = 0;
  bool alternates = false;  // sleeps in fewer calls every second time
};

Fiber* starting;

void Yield(Fiber& fiber) { SwitchStack(&fiber.saved, fiber.caller); }
void Resume(Fiber& fiber) { SwitchStack(&fiber.caller, fiber.saved); }

}  // namespace

COUNTED void YieldDeep(Fiber* fiber, int depth) {
  if (depth == 0) {
    fiber->value = Leaf(fiber->value);
    Yield(*fiber);
    return;
  }
  YieldDeep(fiber, depth - 1);
  NOT_LAST;
}

COUNTED void FiberBody() {
  Fiber* fiber = starting;
  for (int i = 0; i < fiber->rounds; ++i) YieldDeep(fiber, fiber->alternates ? i % 2 * 2 : 3);
  for (;;) Yield(*fiber);
}

COUNTED void ResumeFiber(Fiber* fiber) {
  sink = Leaf(sink);
  Resume(*fiber);
  NOT_LAST;
}

namespace {

void Start(Fiber& fiber, char* memory, size_t bytes, int rounds) {
  fiber.memory = memory;
  fiber.rounds = rounds;
  auto* top = reinterpret_cast<uint64_t*>(memory + bytes - 16);
  *--top = 0;  // no caller
  *--top = reinterpret_cast<uint64_t>(FiberBody);
  for (int i = 0; i < 6; ++i) *--top = 0;
  fiber.saved = top;
  starting = &fiber;
  ResumeFiber(&fiber);
}

// Sleeping and waking in an order that is no stack's; half are left asleep.
int StackSwitch() {
  constexpr int kFibers = 16;
  Fiber fibers[kFibers];
  for (Fiber& fiber : fibers) Start(fiber, NewStack(), kStackBytes, 100);
  unsigned next = 1;
  for (int i = 0; i < 1000; ++i) {
    next = next * 1103515245 + 12345;
    ResumeFiber(&fibers[next / 65536 % kFibers]);
  }
  int sum = 0;
  for (int i = 0; i < kFibers; ++i) sum += fibers[i].value * i;
  for (Fiber& fiber : fibers) munmap(fiber.memory, kStackBytes);
  std::printf("%d %d\n", sum, Leaf(1));
  return 0;
}

}  // namespace

// The coroutine's stack is an array on the stack of the thread.
COUNTED int FiberInsideStack() {
  alignas(16) char memory[16384];
  Fiber fiber;
  fiber.alternates = true;
  Start(fiber, memory, sizeof(memory), 50);
  for (int i = 0; i < 49; ++i) ResumeFiber(&fiber);
  return fiber.value;
}

namespace {

int StackInsideStack() {
  std::printf("%d\n", FiberInsideStack());
  return 0;
}

Fiber moving;

void* ResumeMoving(void*) {
  for (int i = 0; i < 10; ++i) ResumeFiber(&moving);
  return nullptr;
}

// The coroutine's calls begin in one thread and end in another. One whose thread
// has ended meanwhile was reported as open and is counted as lost as well.
int StackMigration() {
  ExpectCalls(">=SwitchStack", 222);
  ExpectCalls("<=SwitchStack", 232);
  ExpectCalls(">=YieldDeep", 444);
  ExpectCalls("<=YieldDeep", 484);
  Start(moving, NewStack(), kStackBytes, 200);
  for (int i = 0; i < 10; ++i) {
    pthread_t thread;
    pthread_create(&thread, nullptr, ResumeMoving, nullptr);
    pthread_join(thread, nullptr);
    ResumeFiber(&moving);
  }
  std::printf("%d\n", moving.value);
  return 0;
}

void* UnhookedResume(void*) {
  UnhookedSwitchStack(&moving.caller, moving.saved);
  return nullptr;
}

// Calls that another thread began end in one that has begun none: it has no lane yet, and must
// not use that of the thread that created it.
int StackMigrationFirst() {
  ExpectCalls(">=SwitchStack", 32);
  ExpectCalls("<=SwitchStack", 42);
  ExpectCalls("=SwitchStack", 11);
  ExpectCalls(">=YieldDeep", 84);
  ExpectCalls("<=YieldDeep", 124);
  ExpectCalls("=YieldDeep", 0);
  Start(moving, NewStack(), kStackBytes, 200);
  for (int i = 0; i < 10; ++i) {
    pthread_t thread;
    pthread_create(&thread, nullptr, UnhookedResume, nullptr);
    pthread_join(thread, nullptr);
    ResumeFiber(&moving);
  }
  std::printf("%d\n", moving.value);
  return 0;
}

#if defined(__cpp_impl_coroutine)

struct Generator {
  struct promise_type {
    int value = 0;
    Generator get_return_object() {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    std::suspend_always yield_value(int next) {
      value = next;
      return {};
    }
    void return_void() {}
    void unhandled_exception() { throw; }
  };
  std::coroutine_handle<promise_type> handle;
};

}  // namespace

// Leaf is called between suspensions, by the frames the compiler made.
KEPT Generator CountTo(int end) {
  Guard guard;
  for (int i = 0; i < end; ++i) co_yield Leaf(i);
  ThrowInside(1);
}

COUNTED int SumGenerated(int end) {
  Generator outer = CountTo(end);
  int sum = 0;
  try {
    for (;;) {
      outer.handle.resume();
      Generator left = CountTo(2);  // destroyed while it sleeps
      left.handle.resume();
      left.handle.destroy();
      sum += outer.handle.promise().value;
    }
  } catch (int value) {
    sum += value;
  }
  outer.handle.destroy();
  return sum;
}

namespace {

int CppCoroutine() {
  int sum = 0;
  for (int i = 0; i < 20; ++i) sum += SumGenerated(10);
  std::printf("%d, %d\n", sum, sink);
  return 0;
}

#else

int CppCoroutine() { return Skip("this compiler has no C++20 coroutines"); }

#endif

}  // namespace

const Case kContextCases[] = {
    {"ucontext", Ucontext},
    {"stack_switch", StackSwitch},
    {"stack_inside_stack", StackInsideStack},
    {"stack_migration", StackMigration},
    {"stack_migration_first", StackMigrationFirst},
    {"cpp_coroutine", CppCoroutine},
    {},
};
