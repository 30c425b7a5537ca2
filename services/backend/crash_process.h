// A crash_backend as a process of its own, for tests.
//
// Not thread-safe. Kills it when it goes.
#ifndef SERVICES_BACKEND_CRASH_PROCESS_H_
#define SERVICES_BACKEND_CRASH_PROCESS_H_

#include <sys/types.h>

#include <string>

namespace flightrec::backend {

struct CrashOptions {
  std::string store{};
  std::string listen = "127.0.0.1:0";
  // As crash_backend.cc has them.
  std::string fault = "none";
  std::string step = "none";
  int count = 0;
};

class CrashProcess {
 public:
  explicit CrashProcess(const CrashOptions& options);
  ~CrashProcess();
  CrashProcess(const CrashProcess&) = delete;
  CrashProcess& operator=(const CrashProcess&) = delete;

  // Where it listens. Empty: it has ended before it served; without a failure() its fault has ended
  // it.
  std::string AwaitAddress();
  const std::string& failure() const { return failure_; }
  // Begins or ends the fault; returns when that is so.
  void Toggle();
  bool HasEnded();
  void Kill();

 private:
  // Empty: it has ended.
  std::string ReadLine();

  pid_t pid_ = 0;
  int output_ = -1;
  std::string failure_;
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_CRASH_PROCESS_H_
