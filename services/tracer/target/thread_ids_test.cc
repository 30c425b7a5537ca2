#include "services/tracer/target/thread_ids.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "services/tracer/target/proc_files.h"

namespace flightrec::target {
namespace {

uint32_t Number(pid_t tid) { return static_cast<uint32_t>(tid); }

TEST(ThreadIds, thread_of_this_namespace__then_its_tid_is_what_it_is) {
  ThreadIds ids(getpid());
  EXPECT_EQ(ids.OnHost(Number(gettid()), 1), Number(gettid()));
  // It is not looked for.
  EXPECT_EQ(ids.OnHost(7, 2), 7u);
  EXPECT_EQ(ThreadIds::OwnTid(getpid(), Number(gettid())), Number(gettid()));
  EXPECT_EQ(ThreadIds::OwnTid(getpid(), ThreadIds::kEnded), absl::nullopt);
}

// A process that is number 1 in a pid namespace of its own, with a second thread, until the end of
// the test.
class Contained {
 public:
  Contained() {
    // It outlives its parent.
    EXPECT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    int pid[2];
    int ready[2];
    EXPECT_EQ(pipe(pid), 0);
    EXPECT_EQ(pipe(ready), 0);
    parent_ = fork();
    if (parent_ == 0) {
      // With a user namespace it takes no rights.
      if (unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) _exit(1);
      pid_ = fork();
      if (pid_ == 0) RunInside(ready[1]);
      _exit(write(pid[1], &pid_, sizeof(pid_)) == sizeof(pid_) ? 0 : 1);
    }
    close(pid[1]);
    close(ready[1]);
    char byte;
    EXPECT_EQ(read(pid[0], &pid_, sizeof(pid_)), static_cast<ssize_t>(sizeof(pid_)))
        << "no user or pid namespace can be made here";
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    close(pid[0]);
    close(ready[0]);
  }
  ~Contained() {
    if (pid_ > 0) kill(pid_, SIGKILL);
    waitpid(parent_, nullptr, 0);
    if (pid_ > 0) waitpid(pid_, nullptr, 0);
  }

  pid_t pid() const { return pid_; }

 private:
  [[noreturn]] static void RunInside(int ready) {
    std::thread second([ready] {
      if (write(ready, "r", 1) != 1) _exit(1);
      pause();
    });
    pause();
    _exit(0);
  }

  pid_t parent_ = 0;
  pid_t pid_ = 0;
};

TEST(ThreadIds, threads_of_another_namespace__then_found_by_the_tids_they_know) {
  const Contained contained;
  ThreadIds ids(contained.pid());
  EXPECT_EQ(ids.OnHost(1, 1), Number(contained.pid()));
  const absl::StatusOr<std::vector<pid_t>> threads = ListThreads(contained.pid());
  ASSERT_TRUE(threads.ok()) << threads.status();
  ASSERT_EQ(threads->size(), 2u);
  const pid_t second = threads->front() == contained.pid() ? threads->back() : threads->front();
  EXPECT_EQ(ids.OnHost(2, 2), Number(second));
  EXPECT_EQ(ids.OnHost(2, 0), Number(second));
}

TEST(ThreadIds, thread_that_has_ended__then_none_has_its_tid_and_known_ones_keep_theirs) {
  uint32_t first = 0;
  absl::optional<ThreadIds> ids;
  {
    const Contained contained;
    ids.emplace(contained.pid());
    EXPECT_EQ(ids->OnHost(3, 3), ThreadIds::kEnded);
    first = ids->OnHost(1, 1);
  }
  EXPECT_EQ(ids->OnHost(1, 1), first);
  EXPECT_EQ(ids->OnHost(1, 2), ThreadIds::kEnded);
}

}  // namespace
}  // namespace flightrec::target
