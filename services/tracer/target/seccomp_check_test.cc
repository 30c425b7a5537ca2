#include "services/tracer/target/seccomp_check.h"

#include <gtest/gtest.h>
#include <linux/audit.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/match.h"

namespace flightrec::target {
namespace {

constexpr uint16_t kLoad = BPF_LD | BPF_W | BPF_ABS;
constexpr uint16_t kEqual = BPF_JMP | BPF_JEQ | BPF_K;
constexpr uint16_t kReturn = BPF_RET | BPF_K;

seccomp_data Call(int number) {
  seccomp_data call = {};
  call.nr = number;
  call.arch = AUDIT_ARCH_X86_64;
  return call;
}

// One call is answered with `action`, the others are allowed.
SeccompProgram Refusing(uint32_t number, uint32_t action) {
  return {{kLoad, 0, 0, offsetof(seccomp_data, nr)},
          {kEqual, 0, 1, number},
          {kReturn, 0, 0, action},
          {kReturn, 0, 0, SECCOMP_RET_ALLOW}};
}

TEST(Evaluate, filter_of_one_call__then_that_one_only) {
  const SeccompProgram filter = Refusing(SYS_mmap, SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(Evaluate(filter, Call(SYS_mmap)), SECCOMP_RET_KILL_PROCESS);
  EXPECT_EQ(Evaluate(filter, Call(SYS_munmap)), SECCOMP_RET_ALLOW);
}

TEST(Evaluate, arithmetic_memory_and_jumps__then_as_the_kernel_does_them) {
  const SeccompProgram filter = {
      {BPF_LD | BPF_IMM, 0, 0, 6},
      {BPF_ST, 0, 0, 3},
      {BPF_ALU | BPF_LSH | BPF_K, 0, 0, 4},
      {BPF_LDX | BPF_MEM, 0, 0, 3},
      {BPF_ALU | BPF_ADD | BPF_X, 0, 0, 0},
      {BPF_JMP | BPF_JA, 0, 0, 1},
      {kReturn, 0, 0, SECCOMP_RET_KILL_THREAD},
      {BPF_JMP | BPF_JSET | BPF_K, 1, 0, 0x60},
      {kReturn, 0, 0, SECCOMP_RET_TRAP},
      {BPF_MISC | BPF_TXA, 0, 0, 0},
      {BPF_RET | BPF_A, 0, 0, 0},
  };
  EXPECT_EQ(Evaluate(filter, Call(0)), 6u);
}

TEST(Evaluate, program_without_an_end__then_kills) {
  EXPECT_EQ(Evaluate({}, Call(0)), SECCOMP_RET_KILL_PROCESS);
  const SeccompProgram far = {{kLoad, 0, 0, sizeof(seccomp_data)},
                              {kReturn, 0, 0, SECCOMP_RET_ALLOW}};
  EXPECT_EQ(Evaluate(far, Call(0)), SECCOMP_RET_KILL_PROCESS);
}

bool SetFilter() {
  SeccompProgram filter = Refusing(SYS_acct, SECCOMP_RET_ERRNO | 1);
  const sock_fprog program = {static_cast<unsigned short>(filter.size()), filter.data()};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

// Waits, with a filter, until it is killed. Answers through the pipe when it has one.
pid_t ForkFiltered(bool among_others_mounts, bool set_filter) {
  int ready[2];
  if (pipe(ready) != 0) return -1;
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const bool done =
        (!among_others_mounts || unshare(CLONE_NEWNS) == 0) && (!set_filter || SetFilter());
    if (!done || write(ready[1], "x", 1) != 1) _exit(1);
    while (true) pause();
  }
  close(ready[1]);
  char byte;
  const bool answered = read(ready[0], &byte, 1) == 1;
  close(ready[0]);
  return answered ? child : -1;
}

// In a process that has one filter: bit 0: its child has; bit 1: one of another container has.
int OwnFiltersSeenByFiltered() {
  const pid_t other = ForkFiltered(/*among_others_mounts=*/true, /*set_filter=*/true);
  if (other < 0 || !SetFilter()) return -1;
  const pid_t child = ForkFiltered(/*among_others_mounts=*/false, /*set_filter=*/false);
  if (child < 0) return -1;
  const int seen = (HasOwnFilters(child) ? 1 : 0) + (HasOwnFilters(other) ? 2 : 0);
  kill(other, SIGKILL);
  kill(child, SIGKILL);
  return seen;
}

TEST(HasOwnFilters, as_many_as_the_tracer_has__then_the_same_only_in_its_container) {
  const pid_t tracer = fork();
  if (tracer == 0) _exit(OwnFiltersSeenByFiltered());
  int status = 0;
  ASSERT_EQ(waitpid(tracer, &status, 0), tracer);
  EXPECT_EQ(WEXITSTATUS(status), 2);
}

TEST(CheckFilters, what_hooks_need_is_forbidden__then_the_call_is_named) {
  for (const auto& [number, name] : {std::pair<uint32_t, const char*>{SYS_mmap, "mmap"},
                                     {SYS_socketpair, "socketpair"},
                                     {SYS_gettid, "gettid"},
                                     {SYS_madvise, "madvise"}}) {
    const absl::Status status =
        CheckFilters({Refusing(number, SECCOMP_RET_ERRNO | 1)}, /*tid=*/7, /*instruction=*/0);
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << name;
    EXPECT_TRUE(absl::StrContains(status.message(), name)) << status;
  }
}

TEST(CheckFilters, what_hooks_can_do_without_fails__then_allowed_unless_it_kills) {
  EXPECT_TRUE(CheckFilters({Refusing(SYS_process_vm_readv, SECCOMP_RET_ERRNO | 1)}, 7, 0).ok());
  EXPECT_EQ(CheckFilters({Refusing(SYS_process_vm_readv, SECCOMP_RET_KILL_THREAD)}, 7, 0).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(CheckFilters({Refusing(SYS_ptrace, SECCOMP_RET_KILL_PROCESS)}, 7, 0).ok());
}

}  // namespace
}  // namespace flightrec::target
