#include "services/tracer/inject/remote_process.h"

#include <errno.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <array>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "services/tracer/inject/spawn.h"

namespace flightrec::inject {
namespace {

absl::StatusOr<pid_t> Start(const std::string& program, const std::string& argument) {
  SpawnRequest request;
  request.program = program;
  request.argv = {program, argument};
  return Spawn(request);
}

int Reap(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR) {
  }
  return status;
}

TEST(Spawn, missing_program__then_not_found) {
  EXPECT_EQ(Start("/nonexistent/program", "").status().code(), absl::StatusCode::kNotFound);
}

TEST(Spawn, file_without_permission__then_permission_denied) {
  EXPECT_EQ(Start("/proc/self/maps", "").status().code(), absl::StatusCode::kPermissionDenied);
}

TEST(Spawn, missing_directory__then_not_found_with_its_name) {
  SpawnRequest request;
  request.program = "/bin/true";
  request.argv = {"true"};
  request.cwd = "/nonexistent";
  const absl::Status status = Spawn(request).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_NE(status.message().find("/nonexistent"), std::string::npos);
}

TEST(RemoteProcess, system_call__then_made_in_the_process) {
  const auto pid = Start("/bin/true", "");
  ASSERT_TRUE(pid.ok()) << pid.status();
  const auto process = RemoteProcess::Adopt(*pid);
  ASSERT_TRUE(process.ok()) << process.status();
  const auto own_pid = (*process)->SystemCall("getpid", SYS_getpid, {});
  ASSERT_TRUE(own_pid.ok()) << own_pid.status();
  EXPECT_EQ(*own_pid, static_cast<uint64_t>(*pid));
  const auto memory = (*process)->SystemCall(
      "mmap", SYS_mmap, {0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, ~uint64_t{0}, 0});
  ASSERT_TRUE(memory.ok()) << memory.status();
  // Writes into memory the process itself may only read.
  const std::array<uint8_t, 3> bytes = {1, 2, 3};
  ASSERT_TRUE((*process)->Write(*memory + 10, bytes).ok());
  std::array<uint8_t, 3> back = {};
  ASSERT_TRUE((*process)->Read(*memory + 10, absl::MakeSpan(back)).ok());
  EXPECT_EQ(back, bytes);
  ASSERT_TRUE((*process)->Detach().ok());
  EXPECT_EQ(Reap(*pid), 0);
}

TEST(RemoteProcess, system_call_fails__then_status_of_its_errno) {
  const auto pid = Start("/bin/true", "");
  ASSERT_TRUE(pid.ok()) << pid.status();
  const auto process = RemoteProcess::Adopt(*pid);
  const auto result = (*process)->SystemCall("closing nothing", SYS_close, {12345});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition) << result.status();
  EXPECT_NE(result.status().message().find("closing nothing"), std::string::npos);
  kill(*pid, SIGKILL);
  Reap(*pid);
}

TEST(RemoteProcess, ends_before_the_address__then_wait_status) {
  const auto pid = Start("/bin/sh", "/nonexistent");
  ASSERT_TRUE(pid.ok()) << pid.status();
  const auto process = RemoteProcess::Adopt(*pid);
  const auto page = (*process)->SystemCall(
      "mmap", SYS_mmap, {0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, ~uint64_t{0}, 0});
  ASSERT_TRUE(page.ok()) << page.status();
  const auto ended = (*process)->RunTo(*page);
  ASSERT_TRUE(ended.ok()) << ended.status();
  ASSERT_TRUE(ended->has_value());
  EXPECT_TRUE(WIFEXITED(**ended));
}

TEST(RemoteProcess, unmapped_memory__then_failed_precondition) {
  const auto pid = Start("/bin/true", "");
  ASSERT_TRUE(pid.ok()) << pid.status();
  const auto process = RemoteProcess::Adopt(*pid);
  std::array<uint8_t, 8> bytes = {};
  EXPECT_EQ((*process)->Read(8, absl::MakeSpan(bytes)).code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ((*process)->Write(8, bytes).code(), absl::StatusCode::kFailedPrecondition);
  kill(*pid, SIGKILL);
  Reap(*pid);
}

}  // namespace
}  // namespace flightrec::inject
