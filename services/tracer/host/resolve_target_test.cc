#include "services/tracer/host/resolve_target.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace flightrec::host {
namespace {

ListedProcess Program(pid_t pid, const std::string& name) {
  ListedProcess one;
  one.process.pid = pid;
  one.process.status.name = name.substr(0, 15);
  one.process.status.parent = 1;
  one.process.status.state = 'S';
  one.process.status.namespace_pids = {pid};
  one.process.executable = absl::StrCat("/usr/bin/", name);
  return one;
}

ListedProcess Inside(pid_t pid, pid_t inner, const std::string& name, const std::string& container,
                     char id) {
  ListedProcess one = Program(pid, name);
  one.process.status.namespace_pids = {pid, inner};
  one.process.container = {"podman", std::string(64, id), ""};
  one.names.name = container;
  return one;
}

std::vector<ListedProcess> Host() {
  return {Program(1, "systemd"),
          Program(20, "nginx"),
          Program(21, "nginx"),
          Program(30, "a-program-with-a-long-name"),
          Inside(40, 1, "sh", "web", 'a'),
          Inside(41, 7, "server", "web", 'a'),
          Inside(50, 1, "server", "nginx", 'b')};
}

absl::Status Failure(absl::string_view target) { return ResolveTarget(target, Host()).status(); }

TEST(ResolveTarget, digits__then_are_the_pid) {
  EXPECT_EQ(ResolveTarget("4321", Host()).value_or(0), 4321);
  EXPECT_EQ(Failure("99999999999").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Failure("0").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(Failure("").code(), absl::StatusCode::kInvalidArgument);
}

TEST(ResolveTarget, container_name_or_id__then_its_first_process) {
  EXPECT_EQ(ResolveTarget("web", Host()).value_or(0), 40);
  EXPECT_EQ(ResolveTarget("aaaaaaaaaaaa", Host()).value_or(0), 40);
  EXPECT_EQ(ResolveTarget(std::string(64, 'a'), Host()).value_or(0), 40);
  EXPECT_EQ(Failure("aaaaaaaa").code(), absl::StatusCode::kNotFound);
}

TEST(ResolveTarget, container_and_program_of_one_name__then_the_container) {
  EXPECT_EQ(ResolveTarget("nginx", Host()).value_or(0), 50);
}

TEST(ResolveTarget, program_name__then_the_process_that_runs_it) {
  EXPECT_EQ(ResolveTarget("systemd", Host()).value_or(0), 1);
  EXPECT_EQ(ResolveTarget("a-program-with-a-long-name", Host()).value_or(0), 30);
  EXPECT_EQ(ResolveTarget("a-program-with-", Host()).value_or(0), 30);
}

TEST(ResolveTarget, program_in_a_container__then_by_both_names) {
  EXPECT_EQ(ResolveTarget("web/server", Host()).value_or(0), 41);
  EXPECT_EQ(Failure("web/nginx").code(), absl::StatusCode::kNotFound);
}

TEST(ResolveTarget, name_of_several__then_lists_them) {
  const absl::Status status = Failure("server");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(),
            "'server' names 2 processes: 41 (server) in container web, 50 (server) in container "
            "nginx; give the pid of one");
}

TEST(ResolveTarget, container_with_the_hosts_pids__then_the_one_whose_parent_is_outside) {
  std::vector<ListedProcess> host = {Inside(60, 60, "sh", "box", 'c'),
                                     Inside(61, 61, "sh", "box", 'c')};
  host[0].process.status.namespace_pids = {60};
  host[1].process.status.namespace_pids = {61};
  host[1].process.status.parent = 60;
  EXPECT_EQ(ResolveTarget("box", host).value_or(0), 60);
  host[1].process.status.parent = 1;
  EXPECT_EQ(ResolveTarget("box", host).status().code(), absl::StatusCode::kFailedPrecondition);
}

TEST(ResolveTarget, zombies_and_kernel_threads__then_are_not_meant) {
  std::vector<ListedProcess> host = {Program(70, "worker"), Program(71, "worker"),
                                     Program(72, "worker")};
  host[0].process.status.state = 'Z';
  host[2].process.stat.kernel_thread = true;
  EXPECT_EQ(ResolveTarget("worker", host).value_or(0), 71);
}

TEST(ResolveTarget, name_that_nothing_has__then_suggests_what_comes_near) {
  const absl::Status status = Failure("sytemd");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(absl::StrContains(status.message(), "did you mean systemd")) << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "flightrec ps")) << status;
}

TEST(ResolveTarget, this_host__then_finds_this_test) {
  EXPECT_EQ(ResolveTarget("resolve_target_test").value_or(0), getpid());
}

}  // namespace
}  // namespace flightrec::host
