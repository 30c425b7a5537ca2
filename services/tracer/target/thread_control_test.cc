#include "services/tracer/target/thread_control.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
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

// Waits until SIGTERM; its exit code says whether a wait was interrupted by anything else.
[[noreturn]] void SleepUntilTold() {
  signal(SIGTERM, [](int) { ended = 1; });
  while (ended == 0) {
    if (poll(nullptr, 0, 1) != 0 && ended == 0) _exit(1);
  }
  sigset_t mask;
  sigprocmask(SIG_BLOCK, nullptr, &mask);
  _exit(sigismember(&mask, SIGUSR1) == 0 ? 0 : 2);
}

class ThreadControlTest : public testing::Test {
 protected:
  ThreadControlTest() : pid_(fork()) {
    if (pid_ == 0) SleepUntilTold();
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
    int status = 0;
    kill(pid_, SIGTERM);
    ASSERT_EQ(waitpid(pid_, &status, 0), pid_);
    pid_ = 0;
    EXPECT_TRUE(WIFEXITED(status)) << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), 0);
  }

  pid_t pid_;
};

TEST_F(ThreadControlTest, no_system_call_instruction_there__then_refused_and_the_thread_goes_on) {
  ExpectRefused(16);
}

TEST_F(ThreadControlTest, system_call_that_faults__then_error_and_the_thread_goes_on) {
  ExpectRefused(reinterpret_cast<uint64_t>(not_executable));
}

}  // namespace
}  // namespace flightrec::target
