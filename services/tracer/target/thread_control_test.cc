#include "services/tracer/target/thread_control.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>

#include "absl/status/status.h"

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
      EXPECT_EQ(threads.SystemCall("asking", SYS_getpid, {}, instruction).status().code(),
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

// Lasts as long as a system call of the tracer may.
TEST_F(ThreadControlTest, system_call_that_does_not_return__then_the_thread_goes_on_where_it_was) {
  ThreadControl threads(pid_);
  ASSERT_TRUE(threads.StopAll().ok());
  const auto before = threads.Registers(pid_);
  ASSERT_TRUE(before.ok());
  EXPECT_EQ(threads.SystemCall("waiting", SYS_pause, {}, VdsoSystemCall()).status().code(),
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

}  // namespace
}  // namespace flightrec::target
