#include "services/tracer/host/proc_status.h"

#include <gtest/gtest.h>

#include "absl/status/status.h"

namespace flightrec::host {
namespace {

// A process in a container, in the words of Linux 6.1.
constexpr char kStatus[] =
    "Name:\tweird) name\n"
    "Umask:\t0022\n"
    "State:\tt (tracing stop)\n"
    "Tgid:\t7684\n"
    "Ngid:\t0\n"
    "Pid:\t7684\n"
    "PPid:\t7673\n"
    "TracerPid:\t99\n"
    "Uid:\t1000\t1001\t1002\t1003\n"
    "Gid:\t2000\t2001\t2002\t2003\n"
    "FDSize:\t64\n"
    "Groups:\t \n"
    "NStgid:\t7684\t12\t1\n"
    "NSpid:\t7684\t12\t1\n"
    "Threads:\t17\n"
    "CapEff:\t00000000800c05fb\n"
    "NoNewPrivs:\t1\n"
    "Seccomp:\t2\n"
    "Seccomp_filters:\t1\n";

TEST(ProcStatus, text_of_a_process__then_every_field_is_read) {
  const absl::StatusOr<ProcStatus> status = ParseProcStatus(kStatus);
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->name, "weird) name");
  EXPECT_EQ(status->state, 't');
  EXPECT_EQ(status->process, 7684);
  EXPECT_EQ(status->parent, 7673);
  EXPECT_EQ(status->tracer, 99);
  EXPECT_EQ(status->real_uid, 1000u);
  EXPECT_EQ(status->effective_uid, 1001u);
  EXPECT_EQ(status->saved_uid, 1002u);
  EXPECT_EQ(status->real_gid, 2000u);
  EXPECT_EQ(status->effective_gid, 2001u);
  EXPECT_EQ(status->saved_gid, 2002u);
  EXPECT_EQ(status->threads, 17u);
  EXPECT_EQ(status->namespace_pids, (std::vector<pid_t>{7684, 12, 1}));
  EXPECT_EQ(status->seccomp, SeccompMode::kFilter);
  EXPECT_TRUE(status->no_new_privileges);
  EXPECT_TRUE(status->Has(kCapSysPtrace));
  EXPECT_FALSE(status->Has(kCapSysAdmin));
}

TEST(ProcStatus, name_with_a_line_end__then_is_one_name) {
  const absl::StatusOr<ProcStatus> status = ParseProcStatus("Name:\ta\\nb\\\\c\nTgid:\t1\n");
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->name, "a\nb\\c");
}

TEST(ProcStatus, numbers_that_are_none__then_fields_keep_their_value) {
  const absl::StatusOr<ProcStatus> status =
      ParseProcStatus("Tgid:\t1\nUid:\tx\nThreads:\t\nSeccomp:\t9\nCapEff:\tg\n");
  ASSERT_TRUE(status.ok()) << status.status();
  EXPECT_EQ(status->threads, 0u);
  EXPECT_EQ(status->seccomp, SeccompMode::kNone);
  EXPECT_EQ(status->capabilities, 0u);
}

TEST(ProcStatus, text_without_a_process__then_invalid_argument) {
  EXPECT_EQ(ParseProcStatus("").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ParseProcStatus("Name:\tx\n").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ProcStat, kernel_thread_and_program__then_told_apart) {
  const absl::StatusOr<ProcStat> kernel = ParseProcStat(
      "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 31 0 0 18446744073709551615");
  ASSERT_TRUE(kernel.ok()) << kernel.status();
  EXPECT_TRUE(kernel->kernel_thread);
  EXPECT_EQ(kernel->start_ticks, 31u);
  const absl::StatusOr<ProcStat> program = ParseProcStat(
      "7 (a) b (c)) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 2322432 1 18446744073");
  ASSERT_TRUE(program.ok()) << program.status();
  EXPECT_FALSE(program->kernel_thread);
  EXPECT_EQ(program->start_ticks, 4242u);
}

TEST(ProcStat, cut_text__then_invalid_argument) {
  EXPECT_EQ(ParseProcStat("7 (a) S 1 7").status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace flightrec::host
