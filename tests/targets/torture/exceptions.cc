#include <signal.h>
#include <unistd.h>
#include <unwind.h>

#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "torture.h"

extern "C" int CallBackThroughC(int (*callback)(int), int value);

COUNTED int ThrowAt(int depth, int value) {
  Guard guard;
  if (depth == 0) throw value;
  return ThrowAt(depth - 1, value) + 1;
}

namespace {

int Catch() {
  long sum = 0;
  for (int i = 0; i < 1000; ++i) {
    try {
      sum += ThrowAt(5, i);
    } catch (int value) {
      sum += Leaf(value);
    }
  }
  std::printf("%ld\n", sum);
  return 0;
}

struct Error {
  int hops;
};

}  // namespace

COUNTED int RethrowAt(int depth) {
  Guard guard;
  try {
    if (depth == 0) throw Error{0};
    return RethrowAt(depth - 1);
  } catch (Error& error) {
    error.hops = Leaf(error.hops);
    throw;
  }
}

// The exception outlives the frames that it was thrown through.
COUNTED std::exception_ptr Capture(int depth) {
  try {
    RethrowAt(depth);
  } catch (...) {
    return std::current_exception();
  }
  return nullptr;
}

namespace {

int Rethrow() {
  int hops = 0;
  for (int i = 0; i < 100; ++i) {
    try {
      std::rethrow_exception(Capture(9));
    } catch (Error& error) {
      hops += error.hops;
    }
  }
  std::printf("%d\n", hops);
  return 0;
}

struct Translated {
  explicit Translated(int value) : value(value) {}
  virtual ~Translated() = default;
  int value;
};

}  // namespace

struct ThrowsInside {
  int* sum;
  KEPT ~ThrowsInside() {
    try {
      ThrowAt(2, 7);
    } catch (int value) {
      *sum += value * std::uncaught_exceptions();
    }
  }
};

COUNTED void Translate(int* sum) {
  ThrowsInside inside{sum};
  try {
    ThrowAt(3, 1);
  } catch (int value) {
    std::throw_with_nested(Translated{value});
  }
}

namespace {

int Nested() {
  int sum = 0;
  for (int i = 0; i < 100; ++i) {
    try {
      Translate(&sum);
    } catch (const Translated& outer) {
      sum += outer.value;
      try {
        std::rethrow_if_nested(outer);
      } catch (int value) {
        sum += Leaf(value);
      }
    }
  }
  std::printf("%d\n", sum);
  return 0;
}

[[noreturn]] void EndOnTerminate() {
  std::printf("terminated, %d cleaned up\n", sink);
  std::fflush(stdout);
  _exit(7);
}

}  // namespace

COUNTED void ThrowsNothing(int depth) noexcept {
  ThrowAt(depth, 1);
  NOT_LAST;
}

namespace {

int NoexceptTerminate() {
  std::set_terminate(EndOnTerminate);
  try {
    ThrowsNothing(3);
  } catch (...) {
    std::puts("caught");
  }
  return 0;
}

int Uncaught() {
  std::set_terminate([] {
    std::printf("uncaught, %d cleaned up\n", sink);
    std::fflush(stdout);
    std::abort();
  });
  return ThrowAt(3, 1);
}

_Unwind_Exception foreign = {};

}  // namespace

COUNTED void RaiseForeign(int depth) {
  Guard guard;
  if (depth == 0) {
    foreign = {};
    foreign.exception_class = 0x464C495245435854;
    _Unwind_RaiseException(&foreign);
    return;
  }
  RaiseForeign(depth - 1);
  NOT_LAST;
}

namespace {

int Foreign() {
  int caught = 0;
  for (int i = 0; i < 100; ++i) {
    try {
      RaiseForeign(4);
    } catch (int) {
      return 1;
    } catch (...) {
      caught = Leaf(caught);
    }
  }
  std::printf("%d\n", caught);
  return 0;
}

std::jmp_buf forced_end;

_Unwind_Reason_Code StopAtTarget(int, _Unwind_Action actions, _Unwind_Exception_Class,
                                 _Unwind_Exception*, _Unwind_Context* context, void* target) {
  const bool reached = _Unwind_GetCFA(context) > reinterpret_cast<uintptr_t>(target);
  if (reached || (actions & _UA_END_OF_STACK) != 0) std::longjmp(forced_end, reached ? 1 : 2);
  return _URC_NO_REASON;
}

}  // namespace

COUNTED void UnwindByForce(int depth, void* target) {
  Guard guard;
  try {
    if (depth == 0) {
      foreign = {};
      _Unwind_ForcedUnwind(&foreign, StopAtTarget, target);
      return;
    }
    UnwindByForce(depth - 1, target);
  } catch (...) {
    sink = Leaf(sink);
    throw;
  }
}

COUNTED int StartForcedUnwind() {
  const int how = setjmp(forced_end);
  if (how == 0) UnwindByForce(4, __builtin_frame_address(0));
  return how;
}

namespace {

int ForcedUnwind() {
  int reached = 0;
  for (int i = 0; i < 100; ++i) reached += StartForcedUnwind();
  std::printf("%d, %d\n", reached, sink);
  return 0;
}

int parts_made;

}  // namespace

struct Part {
  KEPT explicit Part(int fails_at) {
    if (++parts_made == fails_at) throw fails_at;
  }
  KEPT ~Part() { sink = Leaf(sink); }
};

struct ManyParts {
  Part part{4};
};

struct Whole : Part {
  Part first;
  Part second;
  KEPT Whole() try : Part(3), first(3), second(3) {
  } catch (int) {
    sink = Leaf(sink);
  }
};

namespace {

int Constructor() {
  int caught = 0;
  for (int i = 0; i < 100; ++i) {
    parts_made = 0;
    try {
      Whole whole;
    } catch (int value) {
      caught += value;
    }
    parts_made = 0;
    try {
      delete[] new ManyParts[6];
    } catch (int value) {
      caught += value;
    }
  }
  std::printf("%d, %d\n", caught, sink);
  return 0;
}

}  // namespace

COUNTED int ThrowIfOdd(int value) {
  Guard guard;
  if (value % 2 != 0) throw value;
  return value;
}

COUNTED int ThrowingCompare(const void* a, const void* b) {
  return ThrowIfOdd(*static_cast<const int*>(a) - *static_cast<const int*>(b));
}

namespace {

int ThroughC() {
  int sum = 0;
  const int values[] = {2, 4, 6, 8};
  for (int i = 0; i < 200; ++i) {
    try {
      sum += CallBackThroughC(ThrowIfOdd, i);
    } catch (int value) {
      sum -= value;
    }
    const int key = 3;
    try {
      if (bsearch(&key, values, 4, sizeof(int), ThrowingCompare) != nullptr) return 1;
    } catch (int value) {
      sum += value;
    }
  }
  std::printf("%d\n", sum);
  return 0;
}

}  // namespace

// The first instruction of the one is a call, the other is interrupted.
asm(R"(
  .text
  .globl CallsFirst
  .type CallsFirst, @function
CallsFirst:
  .cfi_startproc
  call ThrowsFromPrologue
  add $1, %eax
  ret
  .cfi_endproc
  .size CallsFirst, .-CallsFirst

  .globl RaiseTrap
  .type RaiseTrap, @function
RaiseTrap:
  .cfi_startproc
  sub $24, %rsp
  .cfi_adjust_cfa_offset 24
  ud2
  add $24, %rsp
  .cfi_adjust_cfa_offset -24
  ret
  .cfi_endproc
  .size RaiseTrap, .-RaiseTrap
)");
extern "C" int CallsFirst(int value);
extern "C" void RaiseTrap();

COUNTED __attribute__((force_align_arg_pointer)) int ThrowsFromPrologue(int value) {
  if (value < 0) throw value;
  return value;
}

COUNTED void ThrowFromHandler(int) { ThrowAt(1, 3); }

namespace {

int CallFirst() {
  int result = 0;
  for (int i = 0; i < 100; ++i) {
    try {
      result += CallsFirst(1);
      CallsFirst(-1);
    } catch (int value) {
      result += value;
    }
  }
  std::printf("%d\n", result);
  return 0;
}

int FromHandler() {
  struct sigaction action = {};
  action.sa_handler = ThrowFromHandler;
  action.sa_flags = SA_NODEFER;
  sigaction(SIGILL, &action, nullptr);
  int sum = 0;
  for (int i = 0; i < 100; ++i) {
    try {
      RaiseTrap();
    } catch (int value) {
      sum += value;
    }
  }
  std::printf("%d\n", sum);
  return 0;
}

}  // namespace

const Case kExceptionCases[] = {
    {"exception_catch", Catch},
    {"exception_rethrow", Rethrow},
    {"exception_nested", Nested},
    {"exception_noexcept", NoexceptTerminate},
    {"exception_uncaught", Uncaught},
    {"exception_foreign", Foreign},
    {"exception_forced", ForcedUnwind},
    {"exception_constructor", Constructor},
    {"exception_through_c", ThroughC},
    {"exception_call_first", CallFirst},
    {"exception_from_handler", FromHandler},
    {},
};
