// Attaches to programs that run already, and detaches from them.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "services/tracer/lane/lane_reader.h"
#include "services/tracer/patch/planner.h"
#include "services/tracer/target/traced_process.h"

namespace flightrec::target {
namespace {

constexpr char kLiveHooks[] = "services/tracer/target/testdata/live_hooks";
constexpr uint64_t kIdStep = 0x9E3779B97F4A7C15u;

// A child that nobody traces; it ends when its input does.
class RunningProgram {
 public:
  explicit RunningProgram(const std::string& mode, void (*prepare)() = nullptr) {
    int ends[2];
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    input_ = ends[1];
    output_ = memfd_create("output", MFD_CLOEXEC);
    EXPECT_EQ(pipe2(started_, O_CLOEXEC), 0);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(ends[0], 0);
      dup2(output_, 1);
      if (prepare != nullptr) prepare();
      execl(kLiveHooks, kLiveHooks, mode.c_str(), nullptr);
      _exit(127);
    }
    close(ends[0]);
    // Closed by the exec.
    close(started_[1]);
    char byte;
    EXPECT_EQ(read(started_[0], &byte, 1), 0);
    if (mode == "steps") Step();
    if (mode == "hammer") AwaitThreads(6);
  }
  ~RunningProgram() {
    kill(pid_, SIGKILL);
    if (!ended_) waitpid(pid_, nullptr, 0);
    for (const int file : {input_, output_, started_[0]}) close(file);
  }

  pid_t pid() const { return pid_; }

  // 1000 calls of Leaf.
  void Step() {
    const off_t answers = lseek(output_, 0, SEEK_END);
    EXPECT_EQ(write(input_, "x", 1), 1);
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    while (lseek(output_, 0, SEEK_END) == answers && absl::Now() < deadline) sched_yield();
    EXPECT_GT(lseek(output_, 0, SEEK_END), answers);
  }

  std::string Maps() const {
    std::ifstream file(absl::StrCat("/proc/", pid_, "/maps"));
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }

  // Its output. Its exit code is 0 or the test has failed.
  std::string End() {
    close(input_);
    input_ = -1;
    int status = 0;
    EXPECT_EQ(waitpid(pid_, &status, 0), pid_);
    ended_ = true;
    EXPECT_EQ(status, 0);
    std::string text(static_cast<size_t>(lseek(output_, 0, SEEK_END)), '\0');
    EXPECT_EQ(pread(output_, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    return text;
  }

 private:
  void AwaitThreads(size_t count) const {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    while (absl::Now() < deadline) {
      const auto threads = ListThreads(pid_);
      if (threads.ok() && threads->size() >= count) return;
      sched_yield();
    }
    ADD_FAILURE() << "the program does not start " << count << " threads";
  }

  pid_t pid_ = 0;
  int input_ = -1;
  int output_ = -1;
  int started_[2] = {-1, -1};
  bool ended_ = false;
};

class AttachTest : public testing::Test {
 protected:
  AttachTest() { EXPECT_NE(mkdtemp(folder_.data()), nullptr); }
  // Nothing is left in it.
  ~AttachTest() override { EXPECT_EQ(rmdir(folder_.c_str()), 0) << folder_; }

  absl::StatusOr<std::unique_ptr<TracedProcess>> Attach(pid_t pid) {
    AttachOptions options;
    options.pid = pid;
    options.lane_directory = folder_;
    options.plan = [](const std::vector<MappedModule>& modules,
                      const std::shared_ptr<const symbols::Module>& program) {
      std::vector<uint32_t> all;
      for (uint32_t i = 0; i < program->functions.size(); ++i) {
        if (!absl::StartsWith(program->functions[i].symbol, "Unhooked")) all.push_back(i);
      }
      std::vector<Hook> hooks;
      for (const patch::Site& site : patch::Planner(*program).Plan(all).sites)
        hooks.push_back({site, kIdStep * (hooks.size() + 1)});
      return std::vector<ModuleHooks>{{program, modules.front().base, hooks}};
    };
    return TracedProcess::Attach(std::move(options));
  }

  // Until this many threads have made calls.
  void AwaitCalls(TracedProcess& process, size_t threads) {
    lane::LaneReader reader(process.lane());
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    while (reader.Threads().size() < threads) {
      ASSERT_LT(absl::Now(), deadline);
      sched_yield();
    }
  }

  std::string folder_ = "/dev/shm/flightrec_test_XXXXXX";
};

// Threads that call, sleep, throw, start and end, interrupted by a timer's signals on two kinds of
// stacks: nothing of it may fail.
TEST_F(AttachTest, again_and_again_to_a_program_that_does_everything__then_it_does_it_right) {
  RunningProgram program("hammer");
  for (int i = 0; i < 10; ++i) {
    auto process = Attach(program.pid());
    ASSERT_TRUE(process.ok()) << process.status();
    AwaitCalls(**process, 3);
    const auto removal = (*process)->Detach();
    ASSERT_TRUE(removal.ok()) << removal.status();
    EXPECT_EQ(removal->left, "");
    EXPECT_FALSE(absl::StrContains(program.Maps(), ".lane"));
  }
  EXPECT_TRUE(absl::StartsWith(program.End(), "errors 0\n"));
}

TEST_F(AttachTest, process_that_ends__then_outcome_is_not_made_up) {
  RunningProgram program("steps");
  auto process = Attach(program.pid());
  ASSERT_TRUE(process.ok()) << process.status();
  program.End();
  const Outcome outcome = (*process)->Wait();
  EXPECT_TRUE(outcome.unknown || (!outcome.signaled && outcome.exit_code == 0));
}

// One that came while the attach had looked and no thread told yet would be missed.
TEST_F(AttachTest, libraries_are_watched__then_they_are_looked_at_once_at_first) {
  RunningProgram program("steps");
  auto process = Attach(program.pid());
  ASSERT_TRUE(process.ok()) << process.status();
  absl::Notification looked;
  const absl::Status watched = (*process)->WatchLibraries([&looked](const absl::Status& unwinders) {
    EXPECT_TRUE(unwinders.ok()) << unwinders;
    if (!looked.HasBeenNotified()) looked.Notify();
  });
  ASSERT_TRUE(watched.ok()) << watched;
  EXPECT_TRUE(looked.WaitForNotificationWithTimeout(absl::Seconds(30)));
  ASSERT_TRUE((*process)->Detach().ok());
  program.End();
}

TEST_F(AttachTest, tracer_object_is_destroyed__then_program_is_as_before) {
  RunningProgram program("steps");
  const std::string before = program.Maps();
  {
    auto process = Attach(program.pid());
    ASSERT_TRUE(process.ok()) << process.status();
    EXPECT_NE(program.Maps(), before);
  }
  EXPECT_EQ(program.Maps(), before);
  program.End();
}

// Of the call `number`, in all programs that this process becomes.
template <uint32_t kNumber>
void Forbid() {
  sock_filter filter[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
                          {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, kNumber},
                          {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS},
                          {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
  const sock_fprog program = {4, filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    _exit(126);
}

// Which call it is can be told only where filters may be read: tests/integration/test_attach.py.
TEST_F(AttachTest, seccomp_filter_would_kill__then_refused_and_the_program_is_as_before) {
  RunningProgram program("steps", Forbid<SYS_socketpair>);
  const std::string before = program.Maps();
  const auto refused = Attach(program.pid());
  EXPECT_TRUE(absl::StrContains(refused.status().message(), "seccomp filter")) << refused.status();
  EXPECT_EQ(program.Maps(), before);
  program.End();
}

TEST_F(AttachTest, no_such_process__then_not_found) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  EXPECT_EQ(Attach(child).status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace flightrec::target
