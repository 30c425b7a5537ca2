#include "services/backend/crash_process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace flightrec::backend {

CrashProcess::CrashProcess(const CrashOptions& options) {
  const std::string binary =
      absl::StrCat(std::getenv("TEST_SRCDIR"), "/", std::getenv("TEST_WORKSPACE"),
                   "/services/backend/crash_backend");
  const std::string count = std::to_string(options.count);
  int fds[2];
  if (pipe(fds) != 0) ADD_FAILURE() << "pipe";
  pid_ = fork();
  if (pid_ == 0) {
    dup2(fds[1], STDOUT_FILENO);
    close(fds[0]);
    close(fds[1]);
    execl(binary.c_str(), binary.c_str(), options.store.c_str(), options.listen.c_str(),
          options.fault.c_str(), options.step.c_str(), count.c_str(), nullptr);
    _exit(127);
  }
  close(fds[1]);
  output_ = fds[0];
}

CrashProcess::~CrashProcess() {
  Kill();
  close(output_);
}

std::string CrashProcess::ReadLine() {
  std::string line;
  char byte;
  while (read(output_, &byte, 1) == 1) {
    if (byte == '\n') return line;
    line.push_back(byte);
  }
  return "";
}

std::string CrashProcess::AwaitAddress() {
  std::string line = ReadLine();
  if (absl::StartsWith(line, "failed: ")) {
    failure_ = std::move(line);
    return "";
  }
  if (line.empty()) {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = 0;
    const bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    if (!killed) failure_ = absl::StrCat("ended with wait status ", status);
  }
  return line;
}

void CrashProcess::Toggle() {
  kill(pid_, SIGUSR1);
  EXPECT_EQ(ReadLine(), "toggled");
}

bool CrashProcess::HasEnded() {
  if (pid_ != 0 && waitpid(pid_, nullptr, WNOHANG) == pid_) pid_ = 0;
  return pid_ == 0;
}

void CrashProcess::Kill() {
  if (pid_ == 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

}  // namespace flightrec::backend
