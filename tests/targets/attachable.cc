// Runs until its standard input ends, so that a tracer can attach and detach:
//
//   attachable [THREADS [MICROSECONDS]]
//
// The threads call AttLeaf all the time, with a pause of so long now and then; the first one does
// what it is told, a letter each, and answers a line:
//
//   c   1000 calls of AttOnce
//   h   four threads begin that stay inside AttHeld: in read, nanosleep, futex, and in read where
//       another call of the same frame was left by longjmp
//   s   how many real-time signals have come; the busy threads take them
//   v   a thread waits in vfork for 5 seconds
//   f   a seccomp filter for all threads, which kills for munmap
//   r   how often blocking calls of the waiting threads have failed or AttLeaf was wrong

#include <errno.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#define COUNTED extern "C" __attribute__((noinline, noipa))

std::atomic<uint64_t> wrong, signals;
std::atomic<bool> stop;

COUNTED uint64_t AttLeaf(uint64_t value) { return value * 3 + 1; }
COUNTED uint64_t AttOnce(uint64_t value) { return value * 5 + 1; }

COUNTED void AttSignal(int) { ++signals; }

COUNTED uint64_t AttWork(uint64_t value) {
  uint64_t sum = 0;
  for (uint64_t i = 0; i < 10; ++i) sum += AttLeaf(value + i);
  return sum;
}

void Busy(useconds_t pause) {
  for (uint64_t value = 0; !stop; ++value) {
    if (AttWork(value) != 30 * value + 145) ++wrong;
    if (value % 64 == 0) usleep(pause);
  }
}

// Open for as long as the program runs: rbx is needed again afterwards.
COUNTED uint64_t AttHeld(int (*wait)(int), int end, uint64_t value) {
  const int result = wait(end);
  return value * 7 + static_cast<uint64_t>(result == 0);
}

int ReadOnce(int end) {
  char byte;
  return read(end, &byte, 1) == 0 ? 0 : 1;
}

int SleepOften(int) {
  int failed = 0;
  while (!stop) {
    const timespec time = {0, 20'000'000};
    if (nanosleep(&time, nullptr) != 0) failed = 1;
  }
  return failed;
}

int WaitOften(int) {
  int failed = 0;
  uint32_t word = 0;
  while (!stop) {
    const timespec time = {0, 20'000'000};
    // A futex is the one that may be woken for nothing, but says so by 0.
    if (syscall(SYS_futex, &word, FUTEX_WAIT, 0, &time, nullptr, 0) != -1 || errno != ETIMEDOUT)
      failed = 1;
  }
  return failed;
}

void Held(int (*wait)(int), int end) {
  if (AttHeld(wait, end, 6) != 43) ++wrong;
}

COUNTED void AttLeave(jmp_buf* place) { longjmp(*place, 1); }

COUNTED void LeaveThenHeld(int end) {
  jmp_buf place;
  if (setjmp(place) == 0) {
    AttLeave(&place);
    ++wrong;
  }
  if (AttHeld(ReadOnce, end, 6) != 43) ++wrong;
}

bool Restrict() {
  sock_filter code[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
                        {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_munmap},
                        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS},
                        {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
  const sock_fprog program = {4, code};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}

// A thread that cannot be stopped.
void WaitInVfork() {
  const pid_t child = vfork();
  if (child == 0) {
    const timespec time = {5, 0};
    nanosleep(&time, nullptr);
    _exit(0);
  }
}

int main(int argc, char** argv) {
  const int busy = argc > 1 ? std::atoi(argv[1]) : 1;
  const auto pause = static_cast<useconds_t>(argc > 2 ? std::atoi(argv[2]) : 300);
  int ends[2];
  if (pipe(ends) != 0) return 1;
  std::vector<std::thread> threads;
  struct sigaction action = {};
  action.sa_handler = AttSignal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGRTMIN, &action, nullptr);
  for (int i = 0; i < busy; ++i) threads.emplace_back(Busy, pause);
  // Nothing interrupts this thread and those that wait.
  sigset_t counted;
  sigemptyset(&counted);
  sigaddset(&counted, SIGRTMIN);
  pthread_sigmask(SIG_BLOCK, &counted, nullptr);
  bool holding = false;
  std::printf("ready\n");
  std::fflush(stdout);
  for (char letter; read(0, &letter, 1) == 1;) {
    if (letter == 'c') {
      uint64_t value = 0;
      for (int i = 0; i < 1000; ++i) value = AttOnce(value);
      std::printf("called %lu\n", value);
    } else if (letter == 'h' && !holding) {
      // Threads that stay inside AttHeld.
      holding = true;
      threads.emplace_back(Held, ReadOnce, ends[0]);
      threads.emplace_back(Held, SleepOften, 0);
      threads.emplace_back(Held, WaitOften, 0);
      threads.emplace_back(LeaveThenHeld, ends[0]);
      std::printf("holding\n");
    } else if (letter == 's') {
      std::printf("signals %lu\n", signals.load());
    } else if (letter == 'v') {
      threads.emplace_back(WaitInVfork);
      std::printf("waits\n");
    } else if (letter == 'f') {
      std::printf("restricted %d\n", Restrict() ? 1 : 0);
    } else if (letter == 'r') {
      std::printf("wrong %lu\n", wrong.load());
    } else {
      continue;
    }
    std::fflush(stdout);
  }
  stop = true;
  close(ends[1]);
  for (std::thread& thread : threads) thread.join();
  std::printf("wrong %lu\n", wrong.load());
  return wrong == 0 ? 0 : 1;
}
