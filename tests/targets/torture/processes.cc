// Children record nothing, and what they do and return is what it was.

#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "torture.h"

extern "C" int ThrowAt(int depth, int value);
extern char** environ;

namespace {

int ExitCodeOf(pid_t child) {
  int status = 0;
  if (waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

}  // namespace

COUNTED int CatchInChild() {
  try {
    ThrowAt(3, 4);
  } catch (int value) {
    return value;
  }
  return 0;
}

// The child returns through its parent's frames.
COUNTED int ForkAt(int depth) {
  if (depth > 0) return Leaf(ForkAt(depth - 1));
  const pid_t child = fork();
  if (child != 0) return ExitCodeOf(child) * 100;
  for (int i = 0; i < 1000; ++i) sink = Leaf(sink);
  return CatchInChild();
}

namespace {

int Fork() {
  const pid_t self = getpid();
  const int result = ForkAt(3);
  if (getpid() != self) return result;
  std::printf("%d\n", result);
  return 0;
}

void* ForkInThread(void* result) {
  const pid_t self = getpid();
  const int value = ForkAt(2);
  if (getpid() != self) _exit(value);
  *static_cast<int*>(result) = value;
  return nullptr;
}

// The child has one thread, which was not the first.
int ForkThread() {
  int sum = 0;
  for (int i = 0; i < 10; ++i) {
    int result = 0;
    pthread_t thread;
    pthread_create(&thread, nullptr, ForkInThread, &result);
    pthread_join(thread, nullptr);
    sum += result;
  }
  std::printf("%d\n", sum);
  return 0;
}

}  // namespace

COUNTED __attribute__((returns_twice)) int VforkOnce(int code) {
  const pid_t child = vfork();
  if (child == 0) _exit(Leaf(code));
  return ExitCodeOf(child) - 1;
}

COUNTED int VforkAndExecute(const char* program) {
  const pid_t child = vfork();
  if (child == 0) {
    execl(program, program, nullptr);
    _exit(9);
  }
  return ExitCodeOf(child);
}

namespace {

int Vfork() {
  int sum = 0;
  for (int i = 0; i < 50; ++i) sum += VforkOnce(i) + VforkAndExecute("/no/such/program");
  for (int i = 0; i < 10; ++i) sum += VforkAndExecute("/bin/false");
  std::printf("%d %d\n", sum, Leaf(1));
  return 0;
}

}  // namespace

COUNTED int SpawnOnce(const char* program) {
  char* arguments[] = {const_cast<char*>(program), nullptr};
  pid_t child = 0;
  if (posix_spawn(&child, program, nullptr, nullptr, arguments, environ) != 0) return 7;
  return ExitCodeOf(child);
}

namespace {

int Spawn() {
  int sum = 0;
  for (int i = 0; i < 10; ++i) {
    sum += SpawnOnce("/bin/true") + SpawnOnce("/bin/false") + SpawnOnce("/no/such/program");
    sum += WEXITSTATUS(system("exit 4"));
  }
  FILE* pipe = popen("echo from a shell", "r");
  char line[100] = "";
  if (pipe == nullptr || fgets(line, sizeof(line), pipe) == nullptr) return 1;
  std::printf("%d %d %s", sum, pclose(pipe), line);
  return Leaf(-1);
}

}  // namespace

COUNTED int ReplaceProgram(int depth) {
  if (depth > 0) {
    const int result = ReplaceProgram(depth - 1);
    NOT_LAST;
    return result;
  }
  execl("/proc/self/exe", "torture", "exec_again", nullptr);
  return 1;
}

namespace {

int Exec() {
  sink = Leaf(sink);
  return ReplaceProgram(2);
}

// The program that replaced the first one; not recorded.
int ExecAgain() {
  std::printf("%d %d\n", CatchInChild(), Leaf(sink));
  return 5;
}

}  // namespace

COUNTED int FailToReplace(const char* program) {
  execl(program, program, nullptr);
  return Leaf(0);
}

namespace {

int ExecFails() {
  std::printf("%d\n", FailToReplace("/no/such/program"));
  return 3;
}

}  // namespace

// A replaced program in which other threads are inside hooked functions.
COUNTED void* WaitForReplacement(void* ready) {
  pthread_barrier_wait(static_cast<pthread_barrier_t*>(ready));
  for (;;) pause();
}

namespace {

int ExecWithThreads() {
  static pthread_barrier_t ready;
  pthread_barrier_init(&ready, nullptr, 4);
  for (int i = 0; i < 3; ++i) {
    pthread_t thread;
    pthread_create(&thread, nullptr, WaitForReplacement, &ready);
  }
  pthread_barrier_wait(&ready);
  return ReplaceProgram(1);
}

}  // namespace

COUNTED int CloneChild(void*) {
  sink = Leaf(sink);
  _exit(3);
}

// Children that share the memory and run on a stack that is gone afterwards, as
// posix_spawn makes them.
COUNTED int ShareMemory(int rounds) {
  constexpr size_t kBytes = 65536;
  int sum = 0;
  for (int i = 0; i < rounds; ++i) {
    void* stack = mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char* top = static_cast<char*>(stack) + kBytes;
    sum += ExitCodeOf(clone(CloneChild, top, CLONE_VM | CLONE_VFORK | SIGCHLD, nullptr));
    munmap(stack, kBytes);
  }
  return sum;
}

namespace {

int SharedMemory() {
  std::printf("%d\n", ShareMemory(300));
  return 0;
}

// The first process ends; its grandchild goes on and ends the output.
int Daemon() {
  const pid_t child = fork();
  if (child == 0) {
    setsid();
    const pid_t grandchild = fork();
    if (grandchild != 0) _exit(ExitCodeOf(grandchild));
    _exit(CatchInChild());
  }
  std::printf("%d %d\n", ExitCodeOf(child), Leaf(1));
  return 0;
}

}  // namespace

const Case kProcessCases[] = {
    {"fork", Fork},
    {"fork_in_thread", ForkThread},
    {"vfork", Vfork},
    {"posix_spawn", Spawn},
    {"exec", Exec},
    {"exec_again", ExecAgain},
    {"exec_fails", ExecFails},
    {"exec_with_threads", ExecWithThreads},
    {"clone_with_memory", SharedMemory},
    {"daemon", Daemon},
    {},
};
