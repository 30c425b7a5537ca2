// Keeps this process running through the signals that end a program, so that the recording gets its
// end, and passes them on. What a key of the terminal sends reaches the program without us; what a
// process sends to us does not. Signals that are ignored stay ignored, here and in the program. At
// most one at a time in a process; for one thread.

#ifndef SERVICES_FLIGHTREC_SIGNAL_FORWARDING_H_
#define SERVICES_FLIGHTREC_SIGNAL_FORWARDING_H_

#include <signal.h>
#include <sys/types.h>

#include <array>

namespace flightrec::cli {

class SignalForwarding {
 public:
  SignalForwarding();
  ~SignalForwarding();
  SignalForwarding(const SignalForwarding&) = delete;
  SignalForwarding& operator=(const SignalForwarding&) = delete;

  // To a child of this process. The last signal that came before goes to it now.
  void SetProgram(pid_t program);

 private:
  static constexpr std::array<int, 4> kSignals = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};

  std::array<struct sigaction, kSignals.size()> former_;
  int program_ = -1;
};

}  // namespace flightrec::cli

#endif  // SERVICES_FLIGHTREC_SIGNAL_FORWARDING_H_
