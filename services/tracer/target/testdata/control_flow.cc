// Functions named Unhooked... are left alone by the tests.
//
// Programs that leave functions in other ways than by returning, one for each
// name of a scenario. The numbers of calls are in ../control_flow_test.cc.

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <vector>

#define COUNTED extern "C" __attribute__((noinline, noipa))

volatile int sink;

COUNTED int Leaf(int a) { return a + 1; }

// Its first instruction is a call.
asm(R"(
  .text
  .globl CallsFirst
  .type CallsFirst, @function
CallsFirst:
  .cfi_startproc
  call ThrowOrReturn
  add $1, %eax
  ret
  .cfi_endproc
  .size CallsFirst, .-CallsFirst
)");
extern "C" int CallsFirst(int value);
COUNTED __attribute__((force_align_arg_pointer)) int ThrowOrReturn(int value) {
  if (value < 0) throw value;
  return value;
}

COUNTED int CallFirst() {
  int result = 0;
  try {
    result = CallsFirst(1);
    CallsFirst(-1);
  } catch (int value) {
    result += value;
  }
  return result;
}

COUNTED void ForkAndCount() {
  sink = Leaf(sink);
  const pid_t child = fork();
  if (child == 0) {
    for (int i = 0; i < 1000; ++i) sink = Leaf(sink);
    sink = CallFirst();
    return;  // through its parent's frames
  }
  int status = 0;
  waitpid(child, &status, 0);
  std::printf("child %d\n", WEXITSTATUS(status));
  sink = Leaf(sink);
}

int Fork() {
  const pid_t self = getpid();
  ForkAndCount();
  return getpid() == self ? 0 : 5;
}

struct Guard {
  __attribute__((noinline, noipa)) ~Guard() { sink = Leaf(sink); }
};

COUNTED void ExitThread() {
  Guard guard;
  pthread_exit(nullptr);
}

COUNTED void* OuterOfExit(void*) {
  Guard guard;
  ExitThread();
  return nullptr;
}

int ThreadExit() {
  pthread_t thread;
  pthread_create(&thread, nullptr, OuterOfExit, nullptr);
  return pthread_join(thread, nullptr);
}

COUNTED void Fault(int depth) {
  if (depth == 0) *reinterpret_cast<volatile int*>(8) = 1;
  Fault(depth - 1);
  sink = 1;
}

int Crash() {
  signal(SIGSEGV, SIG_DFL);  // a sanitizer's runtime takes it and exits instead
  for (int i = 0; i < 5; ++i) sink = Leaf(sink);
  Fault(3);
  return 0;
}

jmp_buf jump_target;

COUNTED void JumpOut(int depth) {
  if (depth == 0) longjmp(jump_target, 1);
  JumpOut(depth - 1);
  sink = 1;
}

COUNTED int JumpOften() {
  volatile int rounds = 0;
  if (setjmp(jump_target) != 0) rounds = rounds + 1;
  sink = Leaf(sink);
  if (rounds < 1000) JumpOut(3);
  return rounds;
}

COUNTED void OnSignal(int) { sink = Leaf(sink); }

COUNTED void JumpFromHandler(int) { siglongjmp(jump_target, 1); }

void UseSignalStack(char* memory, size_t size, void (*handler)(int)) {
  stack_t stack = {};
  stack.ss_sp = memory;
  stack.ss_size = size;
  sigaltstack(&stack, nullptr);
  struct sigaction action = {};
  action.sa_handler = handler;
  action.sa_flags = SA_ONSTACK | SA_NODEFER;
  sigaction(SIGUSR1, &action, nullptr);
}

// The signal stack lies above the frames it interrupts, inside their stack.
COUNTED int SignalStackInside() {
  char memory[65536];
  UseSignalStack(memory, sizeof(memory), OnSignal);
  for (int i = 0; i < 100; ++i) {
    sink = Leaf(sink);
    raise(SIGUSR1);
  }
  stack_t none = {};
  none.ss_flags = SS_DISABLE;
  sigaltstack(&none, nullptr);
  return 0;
}

COUNTED int SignalStackJump() {
  static char memory[65536];
  UseSignalStack(memory, sizeof(memory), JumpFromHandler);
  volatile int rounds = 0;
  if (sigsetjmp(jump_target, 1) != 0) rounds = rounds + 1;
  if (rounds < 100) raise(SIGUSR1);
  return 0;
}

volatile long ticks;
volatile long rounds;
COUNTED void OnTimer(int) {
  ticks = ticks + 1;
  sink = Leaf(sink);
}

// Interrupts the stubs themselves, at whatever instruction.
COUNTED int Timer() {
  struct sigaction action = {};
  action.sa_handler = OnTimer;
  sigaction(SIGALRM, &action, nullptr);
  itimerval interval = {{0, 20}, {0, 20}};
  setitimer(ITIMER_REAL, &interval, nullptr);
  while (ticks < 5000) {
    sink = Leaf(sink);
    rounds = rounds + 1;
  }
  interval = {};
  setitimer(ITIMER_REAL, &interval, nullptr);
  return 0;
}

int TimerAndReport() {
  Timer();
  std::printf("%ld %ld\n", ticks, rounds);
  return 0;
}

COUNTED int TailLeaf(int a) { return Leaf(a + 1); }

volatile long steps;
volatile long act_at;
volatile long acted;

COUNTED void UnhookedCallAtStep(int, siginfo_t*, void* context) {
  steps = steps + 1;
  if (steps != act_at) return;
  acted = acted + 1;
  sink = TailLeaf(sink);
  // No traps behind this one.
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL] &= ~0x100;
}

COUNTED void UnhookedJumpAtStep(int, siginfo_t*, void*) {
  steps = steps + 1;
  if (steps == act_at) siglongjmp(jump_target, 1);
}

// A trap behind every instruction, of the stubs too, until StopStepping.
inline void StartStepping(void (*handler)(int, siginfo_t*, void*)) {
  struct sigaction action = {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGTRAP, &action, nullptr);
  asm volatile(
      "lea -128(%%rsp), %%rsp\n pushfq\n orq $0x100, (%%rsp)\n popfq\n"
      "lea 128(%%rsp), %%rsp" ::
          : "memory", "cc");
}

inline void StopStepping() {
  asm volatile(
      "lea -128(%%rsp), %%rsp\n pushfq\n andq $~0x100, (%%rsp)\n popfq\n"
      "lea 128(%%rsp), %%rsp" ::
          : "memory", "cc");
}

// Interrupts the stubs behind every one of their instructions in turn.
int StepThrough() {
  long rounds = 0;
  do {
    ++rounds;
    steps = 0;
    act_at = rounds;
    StartStepping(UnhookedCallAtStep);
    sink = TailLeaf(sink);
    StopStepping();
  } while (acted == rounds);
  std::printf("%ld %ld\n", rounds, acted);
  return 0;
}

// Leaves the stubs by longjmp behind every one of their instructions in turn.
COUNTED long JumpAtEveryStep() {
  volatile long rounds = 0;
  volatile bool completed = false;
  while (!completed) {
    rounds = rounds + 1;
    steps = 0;
    act_at = rounds;
    if (sigsetjmp(jump_target, 1) != 0) continue;
    StartStepping(UnhookedJumpAtStep);
    sink = TailLeaf(sink);
    StopStepping();
    completed = true;
  }
  return rounds;
}

int StepAndJump() {
  const long rounds = JumpAtEveryStep();
  for (int i = 0; i < 1000; ++i) sink = Leaf(sink);
  std::printf("%ld\n", rounds);
  return 0;
}

ucontext_t main_context;
ucontext_t coroutine_context;

COUNTED void Coroutine() {
  for (int i = 0; i < 100; ++i) {
    sink = Leaf(sink);
    swapcontext(&coroutine_context, &main_context);
  }
}

COUNTED int Resume() {
  sink = Leaf(sink);
  return swapcontext(&main_context, &coroutine_context);
}

int Coroutines() {
  std::vector<char> stack(256 * 1024);
  getcontext(&coroutine_context);
  coroutine_context.uc_stack.ss_sp = stack.data();
  coroutine_context.uc_stack.ss_size = stack.size();
  coroutine_context.uc_link = &main_context;
  makecontext(&coroutine_context, Coroutine, 0);
  for (int i = 0; i < 101; ++i) Resume();
  return 0;
}

COUNTED int Child(void*) {
  sink = Leaf(sink);
  _exit(sink > 0 ? 0 : 1);
}

// Children that share the memory and run on a stack that is gone afterwards, as
// posix_spawn makes them.
COUNTED int ShareMemory() {
  constexpr size_t kStack = 65536;
  for (int i = 0; i < 300; ++i) {
    void* stack = mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const pid_t child =
        clone(Child, static_cast<char*>(stack) + kStack, CLONE_VM | CLONE_VFORK | SIGCHLD, nullptr);
    waitpid(child, nullptr, 0);
    munmap(stack, kStack);
  }
  return 0;
}

// The empty asm keeps the compiler from making a loop of the recursion.
COUNTED int Deep(int depth) {
  if (depth == 0) return 0;
  int below = Deep(depth - 1);
  asm volatile("" : "+r"(below));
  return below + 1;
}

int Depth() { return Deep(999) == 999 ? 0 : 1; }

int Loop() {
  for (int i = 0; i < 100000; ++i) sink = Leaf(sink);
  return 0;
}

pthread_barrier_t all_there;

COUNTED void* OneOfMany(void* argument) {
  const int self = Leaf(static_cast<int>(reinterpret_cast<intptr_t>(argument)));
  pthread_barrier_wait(&all_there);
  return reinterpret_cast<void*>(static_cast<intptr_t>(Leaf(self)));
}

int ManyThreads() {
  constexpr int kThreads = 20;
  pthread_barrier_init(&all_there, nullptr, kThreads);
  pthread_t threads[kThreads];
  for (int i = 0; i < kThreads; ++i) {
    pthread_create(&threads[i], nullptr, OneOfMany,
                   reinterpret_cast<void*>(static_cast<intptr_t>(i)));
  }
  long sum = 0;
  for (pthread_t thread : threads) {
    void* result = nullptr;
    pthread_join(thread, &result);
    sum += reinterpret_cast<intptr_t>(result);
  }
  std::printf("sum %ld\n", sum);
  return 0;
}

COUNTED int Named(int a) { return a + 2; }

// Gets another name at each byte it reads.
COUNTED void* ChangeNames(void*) {
  fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
  for (const char* name : {"wanted-1", "other", "wanted-2"}) {
    pthread_setname_np(pthread_self(), name);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) != 1) sink = Named(sink);
  }
  return nullptr;
}

int Names() {
  pthread_t thread;
  pthread_create(&thread, nullptr, ChangeNames, nullptr);
  return pthread_join(thread, nullptr);
}

COUNTED void OneOfASeries() { sink = Leaf(sink); }

// Starts the next thread when it reads a byte.
int Series() {
  char byte;
  while (read(STDIN_FILENO, &byte, 1) == 1) std::thread(OneOfASeries).join();
  return 0;
}

void* UnhookedIdle(void*) {
  while (true) pause();
}

uint64_t UnhookedHundredths() {
  timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 100 + static_cast<uint64_t>(now.tv_nsec) / 10'000'000;
}

// A thread that calls nothing hooked lives beside them, since an earlier hundredth of a second.
int SeriesBesideIdle() {
  pthread_t idle;
  pthread_create(&idle, nullptr, UnhookedIdle, nullptr);
  for (const uint64_t begin = UnhookedHundredths(); UnhookedHundredths() < begin + 2;) {
  }
  return Series();
}

volatile bool first_has_lane;
volatile bool second_may_go_on;

COUNTED void* UnhookedFirst(void* arg) {
  sink = Leaf(sink);
  first_has_lane = true;
  char byte;
  return read(STDIN_FILENO, &byte, 1) == 1 ? arg : nullptr;
}

COUNTED void* UnhookedLate(void*) {
  while (!first_has_lane) usleep(100);
  sink = Leaf(sink);  // refused
  while (!second_may_go_on) usleep(100);
  for (int i = 0; i < 3; ++i) sink = Leaf(sink);
  return nullptr;
}

// With two slots: one thread ends when it reads a byte, another one takes its slot over.
int SecondChance() {
  pthread_t late, first;
  pthread_create(&late, nullptr, UnhookedLate, nullptr);
  pthread_create(&first, nullptr, UnhookedFirst, nullptr);
  pthread_join(first, nullptr);
  char byte;
  if (read(STDIN_FILENO, &byte, 1) != 1) return 1;
  second_may_go_on = true;
  pthread_join(late, nullptr);
  return 0;
}

int UnhookedExit(void*) { _exit(0); }

// A thread, an execve that fails, and 1 fork, 2 vforks, 3 posix_spawns and 1 clone.
int Children() {
  std::thread([] { sink = Leaf(sink); }).join();
  char name[] = "true";
  char* const arguments[] = {name, nullptr};
  execve("/no/such/program", arguments, environ);
  if (fork() == 0) {
    sink = Leaf(sink);
    _exit(0);
  }
  for (int i = 0; i < 2; ++i) {
    if (vfork() == 0) {
      sink = Leaf(sink);
      execve("/bin/true", arguments, environ);
      _exit(1);
    }
  }
  pid_t child;
  if (posix_spawn(&child, "/bin/true", nullptr, nullptr, arguments, environ) != 0) return 1;
  if (posix_spawnp(&child, "true", nullptr, nullptr, arguments, environ) != 0) return 1;
  if (system("true") != 0) return 1;
  alignas(16) static char stack[65536];
  if (clone(UnhookedExit, stack + sizeof(stack), SIGCHLD, nullptr) < 0) return 1;
  int ended = 0;
  while (wait(nullptr) > 0) ++ended;
  std::printf("%d ended\n", ended);
  sink = Leaf(sink);
  return 0;
}

int Exec() {
  sink = Leaf(sink);
  execl("/bin/sh", "sh", "-c", "exit 3", nullptr);
  return 1;
}

// Of one child for every byte of input.
int ForkOnInput() {
  char byte;
  while (read(0, &byte, 1) == 1) {
    const pid_t child = fork();
    if (child == 0) _exit(0);
    if (waitpid(child, nullptr, 0) != child || write(1, &byte, 1) != 1) return 1;
  }
  return 0;
}

int ExecAndRead() {
  execlp("cat", "cat", nullptr);
  return 1;
}

// Where a mapping of its own file as data is below the code.
int MapsItself() {
  const int file = open("/proc/self/exe", O_RDONLY);
  void* data = mmap(reinterpret_cast<void*>(0x10000000), 4096, PROT_READ, MAP_PRIVATE, file, 0);
  if (data != reinterpret_cast<void*>(0x10000000) || write(1, "m", 1) != 1) return 1;
  char byte;
  return read(0, &byte, 1) == 0 ? 0 : 1;
}

int Environment() {
  const char* value = getenv("GREETING");
  char folder[256];
  if (value == nullptr || getcwd(folder, sizeof(folder)) == nullptr) return 1;
  std::printf("%s from %s\n", value, folder);
  std::fprintf(stderr, "to stderr\n");
  return 0;
}

struct Scenario {
  const char* name;
  int (*run)();
};

constexpr Scenario kScenarios[] = {
    {"call_first", CallFirst},
    {"fork", Fork},
    {"thread_exit", ThreadExit},
    {"crash", Crash},
    {"longjmp", JumpOften},
    {"signal_stack_inside", SignalStackInside},
    {"signal_stack_jump", SignalStackJump},
    {"timer", TimerAndReport},
    {"step_through", StepThrough},
    {"step_and_jump", StepAndJump},
    {"coroutines", Coroutines},
    {"share_memory", ShareMemory},
    {"depth", Depth},
    {"loop", Loop},
    {"many_threads", ManyThreads},
    {"names", Names},
    {"series", Series},
    {"series_beside_idle", SeriesBesideIdle},
    {"second_chance", SecondChance},
    {"children", Children},
    {"exec", Exec},
    {"exec_and_read", ExecAndRead},
    {"fork_on_input", ForkOnInput},
    {"maps_itself", MapsItself},
    {"environment", Environment},
};

int main(int argc, char** argv) {
  for (const Scenario& scenario : kScenarios) {
    if (argc == 2 && std::strcmp(argv[1], scenario.name) == 0) {
      const int result = scenario.run();
      std::fflush(stdout);
      return result;
    }
  }
  return 99;
}
