#include "services/tracer/host/attachable.h"

#include <elf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace flightrec::host {
namespace {

// A child that has done `prepare` and waits until the end of the test. `prepare` returns, or runs
// another program in its place.
class Child {
 public:
  explicit Child(const std::function<void()>& prepare = [] {}) {
    int ready[2];
    EXPECT_EQ(pipe2(ready, O_CLOEXEC), 0);
    EXPECT_EQ(pipe2(hold_, O_CLOEXEC), 0);
    pid_ = fork();
    if (pid_ == 0) {
      prepare();
      char byte = 'r';
      // Read and write are what strict seccomp allows.
      if (write(ready[1], &byte, 1) == 1 && read(hold_[0], &byte, 1) == 0) _exit(0);
      _exit(1);
    }
    close(ready[1]);
    // Returns at the latest when another program runs.
    char byte;
    EXPECT_GE(read(ready[0], &byte, 1), 0);
    close(ready[0]);
  }
  ~Child() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    close(hold_[0]);
    close(hold_[1]);
  }

  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
  int hold_[2];
};

std::string MessageOf(const absl::Status& status) { return std::string(status.message()); }

#define EXPECT_SAYS(status, part) \
  EXPECT_TRUE(absl::StrContains((status).message(), (part))) << MessageOf(status)

TEST(CheckAttachable, child_that_waits__then_can_be_attached_and_goes_on) {
  const Child child;
  const absl::Status status = CheckAttachable(child.pid());
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(waitpid(child.pid(), nullptr, WNOHANG), 0);
}

TEST(CheckAttachable, child_that_has_gone__then_not_found) {
  pid_t pid = 0;
  {
    const Child child;
    pid = child.pid();
  }
  const absl::Status status = CheckAttachable(pid);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_SAYS(status, absl::StrCat("there is no process ", pid));
}

TEST(CheckAttachable, number_that_no_process_has__then_invalid_argument) {
  EXPECT_EQ(CheckAttachable(0).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(CheckAttachable(-1).code(), absl::StatusCode::kInvalidArgument);
}

TEST(CheckAttachable, thread_of_a_process__then_names_the_process) {
  absl::Status status;
  std::thread([&] { status = CheckAttachable(gettid()); }).join();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_SAYS(status, absl::StrCat("attach to ", getpid()));
}

TEST(CheckAttachable, itself__then_is_refused) {
  const absl::Status status = CheckAttachable(getpid());
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_SAYS(status, "this tracer itself");
}

TEST(CheckAttachable, zombie__then_names_its_parent) {
  Child child([] { _exit(0); });
  siginfo_t info;
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child.pid()), &info, WEXITED | WNOWAIT), 0);
  const absl::Status status = CheckAttachable(child.pid());
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_SAYS(status, absl::StrCat("kept by its parent ", getpid()));
}

// Tells when its first thread is a zombie; the second one waits.
[[noreturn]] void EndFirstThread(int tell) {
  std::thread([tell] {
    std::string words[3];  // pid, (name), state
    while (words[2] != "Z") {
      std::ifstream stat(absl::StrCat("/proc/", getpid(), "/stat"));
      for (std::string& word : words) stat >> word;
    }
    EXPECT_EQ(write(tell, "e", 1), 1);
    while (true) pause();
  }).detach();
  syscall(SYS_exit, 0);
  __builtin_unreachable();
}

TEST(CheckAttachable, first_thread_has_ended__then_says_so_of_those_that_live) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t child = fork();
  if (child == 0) EndFirstThread(ends[1]);
  close(ends[1]);
  char byte;
  ASSERT_EQ(read(ends[0], &byte, 1), 1);
  const absl::Status status = CheckAttachable(child);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_SAYS(status, absl::StrCat("the first of the 2 threads of process ", child));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(ends[0]);
}

TEST(CheckAttachable, traced_child__then_names_the_tracer) {
  const Child child;
  ASSERT_EQ(ptrace(PTRACE_SEIZE, child.pid(), nullptr, nullptr), 0);
  const absl::Status status = CheckAttachable(child.pid());
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_SAYS(status, absl::StrCat("traced already by process ", getpid(), " ("));
}

TEST(CheckAttachable, child_in_strict_seccomp__then_is_refused) {
  const Child child([] { prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT); });
  const absl::Status status = CheckAttachable(child.pid());
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_SAYS(status, "seccomp");
}

// Maps `path`, as a process with hooks has its lanes mapped.
void MapFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0 || ftruncate(file, 4096) != 0) _exit(1);
  if (mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file, 0) == MAP_FAILED) _exit(1);
  close(file);
}

TEST(CheckAttachable, child_with_a_lane__then_says_who_records_it) {
  const std::string path = testing::TempDir() + "77-4242.lane";
  const Child child([&] { MapFile(path); });
  absl::Status status = CheckAttachable(child.pid());
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_SAYS(status, absl::StrCat("by another tracer (", path, ")"));
  status = CheckAttachable(child.pid(), "recordings/01ARZ");
  EXPECT_SAYS(status, "already as recordings/01ARZ");
  ASSERT_EQ(unlink(path.c_str()), 0);
  status = CheckAttachable(child.pid());
  EXPECT_SAYS(status, "hooks of a recording that has ended");
}

TEST(CheckAttachable, files_that_look_like_lanes__then_are_none) {
  for (const char* name : {"x-4242.lane", "77.lane", "77-4242.lanes", "77-42-42.lane"}) {
    const std::string path = testing::TempDir() + name;
    const Child child([&] { MapFile(path); });
    EXPECT_TRUE(CheckAttachable(child.pid()).ok()) << name;
    unlink(path.c_str());
  }
}

// A program of 32-bit x86 that waits for a signal: mov eax, 29 (pause); int 0x80; jmp back.
std::string PauseFor32Bit() {
  constexpr uint32_t kAddress = 0x08048000;
  Elf32_Ehdr header{};
  memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS32;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_ident[EI_VERSION] = EV_CURRENT;
  header.e_type = ET_EXEC;
  header.e_machine = EM_386;
  header.e_version = EV_CURRENT;
  header.e_phoff = sizeof(Elf32_Ehdr);
  header.e_ehsize = sizeof(Elf32_Ehdr);
  header.e_phentsize = sizeof(Elf32_Phdr);
  header.e_phnum = 1;
  header.e_entry = kAddress + sizeof(Elf32_Ehdr) + sizeof(Elf32_Phdr);
  const std::string code("\xb8\x1d\x00\x00\x00\xcd\x80\xeb\xf7", 9);
  Elf32_Phdr segment{};
  segment.p_type = PT_LOAD;
  segment.p_vaddr = kAddress;
  segment.p_filesz = sizeof(Elf32_Ehdr) + sizeof(Elf32_Phdr) + code.size();
  segment.p_memsz = segment.p_filesz;
  segment.p_flags = PF_R | PF_X;
  segment.p_align = 4096;
  return std::string(reinterpret_cast<const char*>(&header), sizeof(header)) +
         std::string(reinterpret_cast<const char*>(&segment), sizeof(segment)) + code;
}

TEST(CheckAttachable, program_of_32_bits__then_is_refused) {
  const std::string path = testing::TempDir() + "pause32";
  std::ofstream(path, std::ios::binary) << PauseFor32Bit();
  ASSERT_EQ(chmod(path.c_str(), 0700), 0);
  const Child child([&] { execl(path.c_str(), path.c_str(), nullptr); });
  const absl::StatusOr<HostProcess> process = ReadHostProcess(ProcDirectory(), child.pid());
  ASSERT_TRUE(process.ok()) << process.status();
  const absl::Status status = CheckAttachable(child.pid());
  // A kernel without 32-bit programs leaves the child as it was.
  if (process->executable != path) {
    EXPECT_TRUE(status.ok()) << status;
    return;
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_SAYS(status, "32-bit x86");
}

// Facts of a process that can be attached to.
AttachFacts Plain() {
  AttachFacts facts;
  facts.process.pid = 1234;
  facts.process.status.name = "victim";
  facts.process.status.state = 'S';
  facts.process.status.process = 1234;
  facts.process.namespaces.user = "user:[1]";
  facts.process.elf.emplace();
  facts.process.elf->is_64_bit = true;
  facts.process.elf->machine = EM_X86_64;
  facts.powers.pid = 1;
  facts.powers.user_namespace = "user:[1]";
  return facts;
}

void ExpectRefusal(const AttachFacts& facts, Obstacle obstacle, absl::string_view name,
                   absl::StatusCode code, absl::string_view part) {
  const Attachability answer = JudgeAttach(facts);
  EXPECT_EQ(answer.obstacle, obstacle) << ObstacleName(answer.obstacle);
  EXPECT_EQ(ObstacleName(obstacle), name);
  EXPECT_EQ(answer.status.code(), code);
  EXPECT_SAYS(answer.status, part);
  EXPECT_SAYS(answer.status, "process 1234 (victim)");
}

TEST(JudgeAttach, nothing_in_the_way__then_ok) {
  const Attachability answer = JudgeAttach(Plain());
  EXPECT_EQ(answer.obstacle, Obstacle::kNone);
  EXPECT_TRUE(answer.status.ok()) << answer.status;
}

TEST(JudgeAttach, kinds_of_processes_that_cannot_be_hooked__then_each_says_so) {
  constexpr absl::StatusCode kCode = absl::StatusCode::kFailedPrecondition;
  AttachFacts facts = Plain();
  facts.process.stat.kernel_thread = true;
  ExpectRefusal(facts, Obstacle::kKernelThread, "KERNEL_THREAD", kCode, "kernel thread");
  facts = Plain();
  facts.process.elf->is_go = true;
  ExpectRefusal(facts, Obstacle::kGoRuntime, "GO_RUNTIME", kCode, "stacks move");
  facts = Plain();
  facts.process.elf->is_flightrec_service = true;
  ExpectRefusal(facts, Obstacle::kOwnService, "OWN_SERVICE", kCode, "process of flightrec");
  facts = Plain();
  facts.process.elf->machine = EM_AARCH64;
  ExpectRefusal(facts, Obstacle::kWrongArchitecture, "WRONG_ARCHITECTURE", kCode, "64-bit ARM");
}

TEST(JudgeAttach, yama__then_its_value_decides_the_remedy) {
  constexpr absl::StatusCode kCode = absl::StatusCode::kPermissionDenied;
  AttachFacts facts = Plain();
  facts.may_trace = false;
  facts.powers.yama_scope = 1;
  ExpectRefusal(facts, Obstacle::kYama, "YAMA", kCode, "sysctl kernel.yama.ptrace_scope=0");
  facts.powers.yama_scope = 2;
  ExpectRefusal(facts, Obstacle::kYama, "YAMA", kCode, "setcap cap_sys_ptrace+ep");
  facts.powers.yama_scope = 3;
  facts.powers.can_trace_anybody = true;
  ExpectRefusal(facts, Obstacle::kYama, "YAMA", kCode, "started again");
}

TEST(JudgeAttach, process_of_somebody_else__then_names_both_users) {
  AttachFacts facts = Plain();
  facts.may_trace = false;
  facts.powers.uid = 1000;
  // Also the user's own remedy helps nothing where the other user is the reason.
  facts.powers.yama_scope = 1;
  ExpectRefusal(facts, Obstacle::kOtherUser, "OTHER_USER", absl::StatusCode::kPermissionDenied,
                "belongs to user 0, the tracer runs as user 1000");
}

TEST(JudgeAttach, kernel_says_no_for_another_reason__then_names_what_is_left) {
  constexpr absl::StatusCode kCode = absl::StatusCode::kPermissionDenied;
  AttachFacts facts = Plain();
  facts.may_trace = false;
  ExpectRefusal(facts, Obstacle::kPermission, "PERMISSION", kCode, "capabilities");
  facts.dumpable = false;
  ExpectRefusal(facts, Obstacle::kNotDumpable, "NOT_DUMPABLE", kCode, "PR_SET_DUMPABLE");
  facts.powers.can_trace_anybody = true;
  ExpectRefusal(facts, Obstacle::kPermission, "PERMISSION", kCode, "AppArmor");
  facts.process.namespaces.user = "user:[2]";
  ExpectRefusal(facts, Obstacle::kPermission, "PERMISSION", kCode, "user namespace");
}

TEST(JudgeAttach, several_obstacles__then_the_one_that_stays_is_told_first) {
  AttachFacts facts = Plain();
  facts.may_trace = false;
  facts.tracer = {99, "99 (gdb)"};
  ExpectRefusal(facts, Obstacle::kTraced, "TRACED", absl::StatusCode::kFailedPrecondition,
                "by process 99 (gdb)");
  facts.recorded.emplace();
  facts.recorded->recording = "recordings/01ARZ";
  ExpectRefusal(facts, Obstacle::kRecorded, "RECORDED", absl::StatusCode::kFailedPrecondition,
                "recordings/01ARZ");
  facts.process.elf->is_go = true;
  ExpectRefusal(facts, Obstacle::kGoRuntime, "GO_RUNTIME", absl::StatusCode::kFailedPrecondition,
                "Go program");
}

}  // namespace
}  // namespace flightrec::host
