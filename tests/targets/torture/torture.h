// What the files of the torture program share. Each case runs in a process of its
// own, prints a result that does not depend on tracing, and calls the functions of
// calls.tsv as often as that table says.
#ifndef TESTS_TARGETS_TORTURE_TORTURE_H_
#define TESTS_TARGETS_TORTURE_TORTURE_H_

// Called as often as the source says, whatever the optimiser knows.
#ifdef __clang__
#define KEPT __attribute__((noinline))
#define COUNTED extern "C" __attribute__((noinline, weak))
#else
#define KEPT __attribute__((noinline, noipa))
#define COUNTED extern "C" __attribute__((noinline, noipa))
#endif

// Keeps a call from being the last thing its caller does.
#define NOT_LAST asm volatile("" ::: "memory")

struct Case {
  const char* name;
  int (*run)();  // returns the exit code of the program
};

// Each ends with a case without a name.
extern const Case kCallCases[];
extern const Case kContextCases[];
extern const Case kEntryCases[];
extern const Case kExceptionCases[];
extern const Case kJumpCases[];
extern const Case kLifetimeCases[];
extern const Case kProcessCases[];
extern const Case kRegisterCases[];
extern const Case kSignalCases[];
extern const Case kStackCases[];
extern const Case kStepCases[];
extern const Case kThreadCases[];

extern volatile int sink;

// A case that cannot run here: its output says so, and its calls are not counted.
int Skip(const char* reason);

// For numbers of calls that calls.tsv cannot know; overrides it.
void ExpectCalls(const char* function, long calls);

bool CaseIs(const char* name);

extern "C" int Leaf(int a);      // a + 1
extern "C" int TailLeaf(int a);  // Leaf(a + 1), by a jump where the compiler optimises
extern "C" void Cleanup();

// Calls Cleanup when its scope is left.
struct Guard {
  Guard() { NOT_LAST; }
  ~Guard() { Cleanup(); }
};

#endif  // TESTS_TARGETS_TORTURE_TORTURE_H_
