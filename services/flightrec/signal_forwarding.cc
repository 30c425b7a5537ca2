#include "services/flightrec/signal_forwarding.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

namespace flightrec::cli {
namespace {

// The handler's only way to the program: a pidfd, which never names a later process. -1: there is
// none yet.
std::atomic<int> g_program{-1};
// Not passed on yet, 0: none. Written before g_program is read here, read behind its change in
// SetProgram (both sequentially consistent), so one of the two passes it on.
std::atomic<int> g_pending{0};

void PassOnPending() {
  const int program = g_program;
  if (program < 0) return;
  const int number = g_pending.exchange(0);
  // A program that has ended needs no signal.
  if (number != 0) syscall(SYS_pidfd_send_signal, program, number, nullptr, 0);
}

void OnSignal(int number, siginfo_t* info, void*) {
  // By a key of the terminal. Its hangup is different: only the session's leader is told, and that
  // may be us.
  if (info->si_code == SI_KERNEL && number != SIGHUP) return;
  const int saved_errno = errno;
  g_pending = number;
  PassOnPending();
  errno = saved_errno;
}

}  // namespace

SignalForwarding::SignalForwarding() {
  g_pending = 0;
  struct sigaction action = {};
  action.sa_sigaction = OnSignal;
  action.sa_flags = SA_SIGINFO | SA_RESTART;
  for (size_t i = 0; i < kSignals.size(); ++i) {
    sigaction(kSignals[i], nullptr, &former_[i]);
    if (former_[i].sa_handler != SIG_IGN) sigaction(kSignals[i], &action, nullptr);
  }
}

SignalForwarding::~SignalForwarding() {
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &former_[i], nullptr);
  g_program = -1;
  if (program_ >= 0) close(program_);
}

void SignalForwarding::SetProgram(pid_t program) {
  program_ = static_cast<int>(syscall(SYS_pidfd_open, program, 0));
  g_program = program_;
  PassOnPending();
}

}  // namespace flightrec::cli
