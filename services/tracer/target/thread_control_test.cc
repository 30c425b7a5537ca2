#include "services/tracer/target/thread_control.h"

#include <errno.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <random>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "services/tracer/target/proc_files.h"

namespace flightrec::target {
namespace {

// Data: a thread that is sent here faults.
alignas(8) uint8_t not_executable[8] = {0x0F, 0x05};
volatile sig_atomic_t ended;
constexpr uint64_t kVdsoBytes = 4095;  // its first page, less the last byte

// Waits until SIGTERM; its exit code says whether a wait was interrupted by anything else.
[[noreturn]] void SleepUntilTold(int ready) {
  signal(SIGTERM, [](int) { ended = 1; });
  close(ready);
  while (ended == 0) {
    if (poll(nullptr, 0, 1) != 0 && ended == 0) _exit(1);
  }
  sigset_t mask;
  sigprocmask(SIG_BLOCK, nullptr, &mask);
  _exit(sigismember(&mask, SIGUSR1) == 0 ? 0 : 2);
}

// A SYSCALL instruction that the child has at the same address; 0: none was found.
uint64_t VdsoSystemCall() {
  const auto* code = reinterpret_cast<const uint8_t*>(getauxval(AT_SYSINFO_EHDR));
  for (uint64_t i = 0; i < kVdsoBytes; ++i) {
    if (code[i] == 0x0F && code[i + 1] == 0x05) return reinterpret_cast<uint64_t>(code + i);
  }
  return 0;
}

class ThreadControlTest : public testing::Test {
 protected:
  ThreadControlTest() {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    pid_ = fork();
    if (pid_ == 0) SleepUntilTold(ready[1]);
    close(ready[1]);
    char byte;
    EXPECT_EQ(read(ready[0], &byte, 1), 0);
    close(ready[0]);
  }
  ~ThreadControlTest() override {
    if (pid_ > 0) kill(pid_, SIGKILL);
    if (pid_ > 0) waitpid(pid_, nullptr, 0);
  }

  // After many attempts: the thread is caught in all kinds of places.
  void ExpectRefused(uint64_t instruction) {
    for (int i = 0; i < 100; ++i) {
      ThreadControl threads(pid_);
      ASSERT_TRUE(threads.StopOne().ok());
      EXPECT_EQ(threads.SystemCall("asking", SYS_getpid, {}, {instruction, 0}).status().code(),
                absl::StatusCode::kFailedPrecondition);
    }
    EXPECT_EQ(EndOf(), 0);
  }

  // Its exit code, told to end; -1: ended by a signal.
  int EndOf() {
    int status = 0;
    kill(pid_, SIGTERM);
    EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  pid_t pid_ = 0;
};

TEST_F(ThreadControlTest, no_system_call_instruction_there__then_refused_and_the_thread_goes_on) {
  ExpectRefused(16);
}

TEST_F(ThreadControlTest, system_call_that_faults__then_error_and_the_thread_goes_on) {
  ExpectRefused(reinterpret_cast<uint64_t>(not_executable));
}

[[noreturn]] void StartThread(int tell) {
  std::thread([tell] {
    const auto tid = static_cast<pid_t>(syscall(SYS_gettid));
    EXPECT_EQ(write(tell, &tid, sizeof(tid)), static_cast<ssize_t>(sizeof(tid)));
    pause();
  }).join();
  _exit(0);
}

[[noreturn]] void Trace(pid_t tid, int tell) {
  const char traced = ptrace(PTRACE_SEIZE, tid, nullptr, nullptr) == 0 ? 1 : 0;
  EXPECT_EQ(write(tell, &traced, sizeof(traced)), 1);
  while (true) pause();
}

TEST(ThreadControl, one_thread_is_traced_by_another_process__then_refused_and_the_others_are_not) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t program = fork();
  if (program == 0) StartThread(ends[1]);
  pid_t second = 0;
  ASSERT_EQ(read(ends[0], &second, sizeof(second)), static_cast<ssize_t>(sizeof(second)));
  const pid_t other = fork();
  if (other == 0) Trace(second, ends[1]);
  char traced = 0;
  ASSERT_EQ(read(ends[0], &traced, sizeof(traced)), 1);
  ASSERT_EQ(traced, 1);
  {
    ThreadControl threads(program);
    const absl::Status refused = threads.StopAll();
    EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(refused.message()),
                testing::HasSubstr(absl::StrCat("is traced by process ", other)));
    const auto first = ReadThreadStatus(program, program);
    ASSERT_TRUE(first.ok());
    EXPECT_EQ(first->tracer, 0);
  }
  // Who traces a thread takes its end.
  for (const pid_t child : {other, program}) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  close(ends[0]);
  close(ends[1]);
}

// Lasts as long as a system call of the tracer may.
TEST_F(ThreadControlTest, system_call_that_does_not_return__then_the_thread_goes_on_where_it_was) {
  ThreadControl threads(pid_);
  ASSERT_TRUE(threads.StopAll().ok());
  const auto before = threads.Registers(pid_);
  ASSERT_TRUE(before.ok());
  EXPECT_EQ(threads.SystemCall("waiting", SYS_pause, {}, {VdsoSystemCall(), 0}).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  // Not let go in between: it is found on its detour.
  ASSERT_TRUE(threads.StopAll().ok());
  const auto after = threads.Registers(pid_);
  ASSERT_TRUE(after.ok());
  EXPECT_EQ(after->rip, before->rip);
  EXPECT_EQ(after->rsp, before->rsp);
  threads.Resume();
  EXPECT_EQ(EndOf(), 0);
}

// As a C library has them.
asm(R"(
  .pushsection .text
test_system_call:
  syscall
  ret
test_restorer:
  mov $15, %eax
  syscall
  .popsection
)");
extern "C" const char test_system_call, test_restorer;

struct Shared {
  std::atomic<uint64_t> rounds;
  std::atomic<uint64_t> wrong_values;
  std::atomic<uint64_t> interrupted;
  std::atomic<uint64_t> masked;
};

// Has values in its registers that nobody else may change, and waits now and then.
[[noreturn]] void ComputeAndWait(Shared* shared) {
  for (uint64_t round = 1;; ++round) {
    double sums[8] = {};
    for (int i = 0; i < 20000; ++i) {
      for (int j = 0; j < 8; ++j) sums[j] += static_cast<double>(i % 7) * (j + 1);
    }
    for (int j = 1; j < 8; ++j) {
      if (sums[j] != sums[0] * (j + 1)) ++shared->wrong_values;
    }
    if (round % 4 == 0 && poll(nullptr, 0, 1) != 0) ++shared->interrupted;
    sigset_t mask;
    sigprocmask(SIG_BLOCK, nullptr, &mask);
    if (sigismember(&mask, SIGUSR1) != 0) ++shared->masked;
    shared->rounds = round;
  }
}

[[noreturn]] void CallAllTheTime(pid_t pid) {
  const CallSite site = {reinterpret_cast<uint64_t>(&test_system_call),
                         reinterpret_cast<uint64_t>(&test_restorer)};
  while (true) {
    ThreadControl threads(pid);
    if (threads.StopOne().ok()) threads.SystemCall("asking", SYS_getpid, {}, site).IgnoreError();
  }
}

void Wait(int64_t nanoseconds) {
  const timespec time = {0, nanoseconds};
  ppoll(nullptr, 0, &time, nullptr);
}

TEST(ThreadControlDeath, tracer_killed_at_any_moment_of_a_system_call__then_the_thread_goes_on) {
  auto* shared = static_cast<Shared*>(
      mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  const pid_t program = fork();
  if (program == 0) ComputeAndWait(shared);
  std::mt19937 random(std::random_device{}());
  for (int i = 0; i < 200; ++i) {
    const pid_t tracer = fork();
    if (tracer == 0) CallAllTheTime(program);
    Wait(std::uniform_int_distribution<int64_t>(500'000, 5'000'000)(random));
    kill(tracer, SIGKILL);
    waitpid(tracer, nullptr, 0);
    const uint64_t before = shared->rounds;
    for (int look = 0; look < 5000 && shared->rounds < before + 2; ++look) Wait(1'000'000);
    ASSERT_GE(shared->rounds, before + 2) << "after " << i << " tracers";
    ASSERT_EQ(shared->wrong_values, 0u) << "after " << i << " tracers";
    // A wait that the kernel had restarted before says EINTR once in a while.
    ASSERT_LE(shared->interrupted, 4u) << "after " << i << " tracers";
    ASSERT_EQ(shared->masked, 0u) << "after " << i << " tracers";
  }
  kill(program, SIGKILL);
  int status = 0;
  waitpid(program, &status, 0);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
}

}  // namespace
}  // namespace flightrec::target
