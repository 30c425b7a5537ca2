#include "common/rpc/shutdown_signal.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

namespace flightrec::rpc {
namespace {

TEST(ShutdownSignal, sigterm__ends_the_wait) {
  ShutdownSignal signal;
  kill(getpid(), SIGTERM);
  EXPECT_EQ(signal.Wait(), SIGTERM);
}

TEST(ShutdownSignal, no_signal__waits_as_long_as_told) {
  ShutdownSignal signal;
  EXPECT_EQ(signal.WaitFor(absl::Milliseconds(1)), 0);
  signal.Notify();
  EXPECT_EQ(signal.WaitFor(absl::ZeroDuration()), SIGTERM);
}

TEST(ShutdownSignalDeathTest, second_signal__ends_the_process) {
  EXPECT_EXIT(
      {
        ShutdownSignal signal;
        raise(SIGINT);
        signal.Wait();
        raise(SIGINT);
        _exit(0);
      },
      testing::KilledBySignal(SIGINT), "");
}

}  // namespace
}  // namespace flightrec::rpc
