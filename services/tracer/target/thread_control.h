// Stops the threads of a running process for a moment and lets them go on as if nothing had been:
// interrupted system calls restart without EINTR, signals that came meanwhile are delivered, a
// program that was stopped stays stopped.
//
// All methods are for one thread, which is the process's tracer meanwhile (ptrace). A child is
// never reaped here, only its threads are.
#ifndef SERVICES_TRACER_TARGET_THREAD_CONTROL_H_
#define SERVICES_TRACER_TARGET_THREAD_CONTROL_H_

#include <sys/types.h>
#include <sys/user.h>

#include <cstdint>
#include <map>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"

namespace flightrec::target {

// Threads that have stopped wait at most this long for those that have not; then all go on, and
// after a pause it is tried again. A thread in vfork cannot be stopped before its child runs
// another program.
inline constexpr absl::Duration kStopTimeout = absl::Milliseconds(100);
inline constexpr absl::Duration kStopPause = absl::Milliseconds(20);
inline constexpr int kStopAttempts = 25;

// Code of a program with which its threads make system calls for the tracer.
struct CallSite {
  // SYSCALL; RET behind it if there is a restorer.
  uint64_t instruction = 0;
  // Does rt_sigreturn. 0: none is known; then a thread whose tracer is killed during a call is
  // lost.
  uint64_t restorer = 0;
  // Behind kFrameRoom bytes of the tracer's memory in the process, for what a thread finds back by;
  // 0: on the thread's own stack, if it has room.
  uint64_t frames_end = 0;
};
// Half of it for signal handlers, should one run there after the tracer was killed.
inline constexpr uint64_t kFrameRoom = 64 << 10;

class ThreadControl {
 public:
  // Of a process that is not a child of this one the end is taken too: else its parent would not be
  // told of it.
  enum class Relation { kChild, kForeign };

  explicit ThreadControl(pid_t pid, Relation relation = Relation::kChild)
      : pid_(pid), relation_(relation) {}
  ~ThreadControl();
  ThreadControl(const ThreadControl&) = delete;
  ThreadControl& operator=(const ThreadControl&) = delete;

  // All threads; none is left that could start another. NOT_FOUND: the process has ended.
  // FAILED_PRECONDITION: somebody else traces it, and who. PERMISSION_DENIED. DEADLINE_EXCEEDED: a
  // thread does not stop.
  absl::Status StopAll();
  // Any one of them. Errors as above.
  absl::Status StopOne();

  // When the last stop began that succeeded.
  absl::Time stopping_since() const { return stopping_since_; }
  std::vector<pid_t> stopped() const;
  absl::StatusOr<user_regs_struct> Registers(pid_t tid) const;
  absl::Status SetRegisters(pid_t tid, const user_regs_struct& registers) const;

  // Makes one of the stopped threads run a system call. `what` names it in the error, which has the
  // code that fits errno. FAILED_PRECONDITION: the instruction is not there (any more), or cannot
  // be run. The thread goes on where it was, whatever happens, the end of this process included.
  absl::StatusOr<uint64_t> SystemCall(const char* what, int64_t number,
                                      const std::vector<uint64_t>& arguments, const CallSite& site);

  void Resume();
  // After Resume: lets go threads that did not stop in time, once they do. False: some are left,
  // call it again soon.
  bool Settle();

 private:
  enum class State { kAsked, kStopped };
  enum class Progress { kRunning, kStopped, kGone };
  // What a thread was doing when it was taken for a system call.
  struct Detoured {
    user_regs_struct registers;
    uint64_t mask = 0;  // blocked signals
  };

  absl::Status Stop(bool all);
  absl::Status TryStop(bool all);
  // Threads that go on must not get in the way of those that stand still. Not permitted to
  // everyone: then this thread stays an ordinary one.
  void BeUrgent();
  void BeOrdinary();
  // It is to be interrupted next. False: it ended, or is not there any more.
  absl::StatusOr<bool> Seize(pid_t tid);
  absl::Status AwaitStops(absl::Time deadline);
  // Takes the next stop of a thread. `signal` becomes the one it is about to receive, else 0.
  Progress Poll(pid_t tid, int& event, int& signal);
  bool IsDead(pid_t tid) const;
  // Until the thread stops with this event. It has been told to go on.
  absl::Status AwaitEvent(pid_t tid, int event, int request);
  absl::StatusOr<uint64_t> Detour(pid_t tid, const user_regs_struct& saved, int64_t number,
                                  const std::vector<uint64_t>& arguments, const CallSite& site);
  // On the thread's stack: how it finds back when this process ends. The stack pointer for the
  // call.
  uint64_t LeaveReturnFrame(pid_t tid, const Detoured& before, const CallSite& site) const;

  absl::Status CheckInstruction(pid_t tid, uint64_t instruction) const;
  absl::Status Restore(pid_t tid);
  // Before a stopped thread is let go; `signal` is the one it would get. False: it must stop once
  // more first.
  bool EndDetour(pid_t tid, int& signal);
  void Forget(pid_t tid);

  const pid_t pid_;
  const Relation relation_;
  absl::Time stopping_since_;
  bool urgent_ = false;
  std::map<pid_t, State> threads_;
  std::map<pid_t, Detoured> detoured_;
};

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_THREAD_CONTROL_H_
