// Starts a program that stops before its first instruction, with the calling
// thread as its tracer.
//
// Usable in a process with many threads: between fork and exec only
// async-signal-safe calls are made, and no atfork handlers run. The thread that
// called Spawn has to make all later ptrace calls.
#ifndef SERVICES_TRACER_INJECT_SPAWN_H_
#define SERVICES_TRACER_INJECT_SPAWN_H_

#include <sys/types.h>

#include <array>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace flightrec::inject {

struct SpawnRequest {
  std::string program;  // a path
  std::vector<std::string> argv;
  std::vector<std::string> env;  // "NAME=value"
  std::string cwd;               // empty: the caller's
  // Become 0, 1, 2 of the program; not closed here. {0, 1, 2} are left as they
  // are, closed or close-on-exec ones too.
  std::array<int, 3> stdio = {0, 1, 2};
  // Above 2: open in the program under the same numbers. All others are closed
  // in it.
  std::vector<int> inherited;
};

// The program ignores the signals that this process ignores and has default
// actions for the others; its signal mask is the calling thread's.
// NOT_FOUND, PERMISSION_DENIED, FAILED_PRECONDITION or RESOURCE_EXHAUSTED say
// why it could not be started.
absl::StatusOr<pid_t> Spawn(const SpawnRequest& request);

}  // namespace flightrec::inject

#endif  // SERVICES_TRACER_INJECT_SPAWN_H_
