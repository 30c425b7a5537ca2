// A stopped process under ptrace: reads and writes its memory and makes system
// calls in it.
//
// Only for the thread that became its tracer (inject/spawn.h). Until Detach the
// process must have one thread. Afterwards it runs: its memory is read and
// written as before, system calls are made by the way SetLiveCalls names. Does
// not own the process: neither kills nor reaps it, except that Resume-like calls
// notice its end.
#ifndef SERVICES_TRACER_INJECT_REMOTE_PROCESS_H_
#define SERVICES_TRACER_INJECT_REMOTE_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"

namespace flightrec::inject {

class RemoteProcess {
 public:
  // As SystemCall.
  using LiveCall = std::function<absl::StatusOr<uint64_t>(const char* what, int64_t number,
                                                          const std::vector<uint64_t>& arguments)>;

  // `pid` is stopped under the calling thread, or runs: then SetRunning comes next.
  static absl::StatusOr<std::unique_ptr<RemoteProcess>> Adopt(pid_t pid);
  ~RemoteProcess();
  RemoteProcess(const RemoteProcess&) = delete;
  RemoteProcess& operator=(const RemoteProcess&) = delete;

  // Lets it run up to the instruction at `address`. A wait status if it ended
  // before: then the process is gone and reaped.
  absl::StatusOr<absl::optional<int>> RunTo(uint64_t address);

  absl::Status Read(uint64_t address, absl::Span<uint8_t> out) const;
  // Also into memory it may not write itself.
  absl::Status Write(uint64_t address, absl::Span<const uint8_t> bytes);

  // Makes the process run a system call. `what` names it in the error, which
  // has the code that fits errno.
  absl::StatusOr<uint64_t> SystemCall(const char* what, int64_t number,
                                      std::vector<uint64_t> arguments);

  absl::Status SetGsBase(uint64_t base);
  absl::StatusOr<uint64_t> GsBase() const;

  // Signals that came meanwhile are delivered. The process runs on.
  absl::Status Detach();
  // In place of Detach, for a process that this thread has not started.
  void SetRunning() { detached_ = true; }
  // How SystemCall works from then on.
  void SetLiveCalls(LiveCall call) { live_call_ = std::move(call); }

  pid_t pid() const { return pid_; }

 private:
  RemoteProcess(pid_t pid, int memory) : pid_(pid), memory_(memory) {}

  absl::Status Step();

  const pid_t pid_;
  const int memory_;  // /proc/PID/mem, owned
  std::vector<int> pending_signals_;
  bool detached_ = false;
  LiveCall live_call_;
};

}  // namespace flightrec::inject

#endif  // SERVICES_TRACER_INJECT_REMOTE_PROCESS_H_
