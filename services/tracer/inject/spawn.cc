#include "services/tracer/inject/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace flightrec::inject {
namespace {

constexpr unsigned kCloseRangeCloexec = 1u << 2;

enum Step : int { kStepDirectory, kStepDescriptors, kStepTrace, kStepExec };

struct Failure {
  int step = kStepExec;
  int error = 0;
};

std::vector<char*> Pointers(const std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (const std::string& s : strings) {
    pointers.push_back(const_cast<char*>(s.c_str()));
  }
  pointers.push_back(nullptr);
  return pointers;
}

// Moves the three descriptors to 0, 1, 2, first out of each other's way.
bool PlaceStdio(const std::array<int, 3>& stdio) {
  if (stdio == std::array<int, 3>{0, 1, 2}) return true;
  int moved[3];
  for (int i = 0; i < 3; ++i) {
    moved[i] = fcntl(stdio[i], F_DUPFD_CLOEXEC, 3);
    if (moved[i] < 0) return false;
  }
  for (int i = 0; i < 3; ++i) {
    if (dup2(moved[i], i) < 0) return false;
  }
  return true;
}

// Our handlers would run in the child until it executes the program.
void DropHandlers() {
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action;
    if (sigaction(signal, nullptr, &action) != 0 || action.sa_handler == SIG_IGN) continue;
    action = {};
    action.sa_handler = SIG_DFL;
    sigaction(signal, &action, nullptr);
  }
}

// Runs in the forked child; returns only on failure.
Failure Exec(const SpawnRequest& request, char* const* argv, char* const* env,
             const sigset_t& mask) {
  DropHandlers();
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  if (!request.cwd.empty() && chdir(request.cwd.c_str()) != 0) {
    return {kStepDirectory, errno};
  }
  if (!PlaceStdio(request.stdio)) return {kStepDescriptors, errno};
  // ENOSYS before Linux 5.9: then what is not close-on-exec stays open.
  syscall(SYS_close_range, 3u, ~0u, kCloseRangeCloexec);
  for (const int descriptor : request.inherited) fcntl(descriptor, F_SETFD, 0);
  if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) {
    return {kStepTrace, errno};
  }
  execve(request.program.c_str(), argv, env);
  return {kStepExec, errno};
}

absl::Status Explain(const SpawnRequest& request, const Failure& failure) {
  const std::string cause = strerror(failure.error);
  if (failure.step == kStepDirectory) {
    return absl::NotFoundError(
        absl::StrCat("cannot enter the directory ", request.cwd, ": ", cause));
  }
  if (failure.step == kStepDescriptors) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot pass on standard input and output: ", cause));
  }
  if (failure.step == kStepTrace) {
    return absl::PermissionDeniedError(
        absl::StrCat("ptrace is not allowed here: ", cause,
                     "; run the tracer outside the sandbox or with CAP_SYS_PTRACE"));
  }
  const std::string text = absl::StrCat("cannot execute ", request.program, ": ", cause);
  switch (failure.error) {
    case ENOENT:
      return absl::NotFoundError(
          absl::StrCat(text, "; check the path, and the interpreter the file names"));
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(
          absl::StrCat(text, "; chmod +x it or check the mount options"));
    case E2BIG:
    case ENOMEM:
    case EAGAIN:
      return absl::ResourceExhaustedError(text);
    default:
      return absl::FailedPreconditionError(text);
  }
}

}  // namespace

absl::StatusOr<pid_t> Spawn(const SpawnRequest& request) {
  const std::vector<char*> argv = Pointers(request.argv);
  const std::vector<char*> env = Pointers(request.env);
  int report[2];
  if (pipe2(report, O_CLOEXEC) != 0) {
    return absl::ResourceExhaustedError(absl::StrCat("cannot make a pipe: ", strerror(errno)));
  }
  absl::Cleanup close_report = [&report] { close(report[0]); };
  // Until the child has dropped our handlers.
  sigset_t all, mask;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &mask);
  const pid_t pid = _Fork();
  if (pid == 0) {
    const Failure failure = Exec(request, argv.data(), env.data(), mask);
    const ssize_t written = write(report[1], &failure, sizeof(failure));
    _exit(written == sizeof(failure) ? 127 : 126);
  }
  const int fork_error = errno;
  pthread_sigmask(SIG_SETMASK, &mask, nullptr);
  close(report[1]);
  if (pid < 0) {
    return absl::ResourceExhaustedError(absl::StrCat("cannot fork: ", strerror(fork_error)));
  }
  Failure failure;
  ssize_t count;
  do {
    count = read(report[0], &failure, sizeof(failure));
  } while (count < 0 && errno == EINTR);
  int status = 0;
  while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR) {
  }
  if (count == sizeof(failure)) return Explain(request, failure);
  if (!WIFSTOPPED(status)) {
    return absl::FailedPreconditionError(
        absl::StrCat(request.program, " ended while it was executed (wait status ", status,
                     "); run it without flightrec to see why"));
  }
  ptrace(PTRACE_SETOPTIONS, pid, nullptr, PTRACE_O_EXITKILL);
  return pid;
}

}  // namespace flightrec::inject
