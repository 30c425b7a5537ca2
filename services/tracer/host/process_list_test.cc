#include "services/tracer/host/process_list.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace flightrec::host {
namespace {

// A host of fixtures: /proc with a few processes, podman's files, a passwd file.
class ProcessListTest : public testing::Test {
 protected:
  ProcessListTest()
      : root_(absl::StrCat(testing::TempDir(), "list-",
                           testing::UnitTest::GetInstance()->current_test_info()->name())) {
    Write("/etc/passwd", "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/:/bin/sh\n");
    Write("/var/lib/containers/storage/overlay-containers/containers.json",
          absl::StrCat(R"([{"id": ")", std::string(64, 'a'), R"(", "names": ["web"]}])"));
    Process(2, "kthreadd", 0, 0x00200000);
    Process(100, "one", 0);
    Process(200, "two", 1000);
    Write("/proc/200/cgroup",
          absl::StrCat("0::/machine.slice/libpod-", std::string(64, 'a'), ".scope\n"));
    Process(300, "three", 1001);
    Write("/proc/300/cgroup",
          absl::StrCat("0::/kubepods/burstable/poda1b2c3d4-0011-2233-4455-66778899aabb/",
                       std::string(64, 'b'), "\n"));
    Write("/proc/300/environ", std::string("A=b\0HOSTNAME=shop-1\0", 20));
  }
  ~ProcessListTest() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, const std::string& text) {
    const std::filesystem::path file(root_ + path);
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }

  void Process(pid_t pid, const std::string& name, uid_t uid, uint64_t flags = 0) {
    const std::string folder = absl::StrCat("/proc/", pid);
    Write(folder + "/status",
          absl::StrCat("Name:\t", name, "\nState:\tS (sleeping)\nTgid:\t", pid, "\nUid:\t", uid,
                       "\t", uid, "\t", uid, "\t", uid, "\nThreads:\t3\n"));
    Write(folder + "/stat", absl::StrCat(pid, " (", name, ") S 1 1 1 0 -1 ", flags,
                                         " 0 0 0 0 0 0 0 0 20 0 3 0 42 0"));
    Write(folder + "/cmdline", name + std::string("\0--flag\0", 8));
    Write(folder + "/mem", "");
  }

  std::vector<pid_t> Pids(const std::string& filter) {
    ProcessList list(ProcDirectory(root_ + "/proc"), root_);
    ProcessQuery query;
    query.filter = *ProcessFilter::Parse(filter);
    query.limit = 100;
    std::vector<pid_t> pids;
    const absl::StatusOr<ProcessPage> page = list.List(query);
    EXPECT_TRUE(page.ok()) << page.status();
    for (const ProcessRow& row : page->rows) pids.push_back(row.process.pid);
    return pids;
  }

  const std::string root_;
};

TEST_F(ProcessListTest, processes_of_the_host__then_without_kernel_threads) {
  EXPECT_EQ(Pids(""), (std::vector<pid_t>{100, 200, 300}));
}

TEST_F(ProcessListTest, filter__then_names_of_users_containers_and_pods_are_known) {
  EXPECT_EQ(Pids("user:ada"), (std::vector<pid_t>{200}));
  EXPECT_EQ(Pids("user:1001"), (std::vector<pid_t>{300}));
  EXPECT_EQ(Pids("container:web"), (std::vector<pid_t>{200}));
  EXPECT_EQ(Pids("container:bbbb"), (std::vector<pid_t>{300}));
  EXPECT_EQ(Pids("pod:shop-1"), (std::vector<pid_t>{300}));
  EXPECT_EQ(Pids("pod:a1b2c3d4"), (std::vector<pid_t>{300}));
  EXPECT_EQ(Pids("one --flag"), (std::vector<pid_t>{100}));
  EXPECT_EQ(Pids("nothing"), (std::vector<pid_t>{}));
}

TEST_F(ProcessListTest, pages__then_every_process_is_on_one) {
  ProcessList list(ProcDirectory(root_ + "/proc"), root_);
  ProcessQuery query;
  query.limit = 2;
  absl::StatusOr<ProcessPage> page = list.List(query);
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->rows.size(), 2u);
  EXPECT_TRUE(page->more);
  query.after = page->rows.back().process.pid;
  page = list.List(query);
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->rows.size(), 1u);
  EXPECT_EQ(page->rows[0].process.pid, 300);
  EXPECT_EQ(page->rows[0].process.status.threads, 3u);
  EXPECT_EQ(page->rows[0].process.command, (std::vector<std::string>{"three", "--flag"}));
  EXPECT_FALSE(page->more);
}

TEST_F(ProcessListTest, recorded_process__then_names_its_recording) {
  ProcessList list(ProcDirectory(root_ + "/proc"), root_);
  ProcessQuery query;
  query.filter = *ProcessFilter::Parse("pid:100");
  query.limit = 1;
  query.recordings = {{100, "recordings/01ARZ"}};
  const absl::StatusOr<ProcessPage> page = list.List(query);
  ASSERT_TRUE(page.ok() && page->rows.size() == 1) << page.status();
  EXPECT_EQ(page->rows[0].recording, "recordings/01ARZ");
  EXPECT_EQ(page->rows[0].attach.obstacle, Obstacle::kRecorded);
}

TEST(ProcessList, this_host__then_finds_itself_with_its_functions) {
  ProcessList list;
  ProcessQuery query;
  query.filter = *ProcessFilter::Parse(absl::StrCat("pid:", getpid()));
  query.limit = 1;
  query.counting = absl::Seconds(60);
  const absl::StatusOr<ProcessPage> page = list.List(query);
  ASSERT_TRUE(page.ok() && page->rows.size() == 1) << page.status();
  const ProcessRow& row = page->rows[0];
  EXPECT_EQ(row.process.ShortName(), "process_list_test");
  EXPECT_EQ(row.attach.obstacle, Obstacle::kItself);
  ASSERT_TRUE(row.share.has_value());
  EXPECT_GT(row.share->hookable, 1000u);
}

}  // namespace
}  // namespace flightrec::host
