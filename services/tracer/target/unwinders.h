// The unwinders that a program has loaded, apart from one of its own: which of
// them are answered for our code already.
//
// For the thread that traces the process. Changes nothing in it: the answers are
// prepared at a HookInstaller.
#ifndef SERVICES_TRACER_TARGET_UNWINDERS_H_
#define SERVICES_TRACER_TARGET_UNWINDERS_H_

#include <sys/types.h>

#include <cstdint>
#include <set>

#include "absl/status/status.h"
#include "services/tracer/target/hook_installer.h"

namespace flightrec::target {

class Unwinders {
 public:
  // `loader`: the address of the dynamic loader, which looks objects up; 0: none.
  Unwinders(pid_t pid, uint64_t loader) : pid_(pid), loader_(loader) {}

  // Prepares the answers that are missing, and forgets what is not there any more.
  absl::Status Answer(HookInstaller& installer);

  // Found none but the loader's.
  bool may_come_later() const {
    return loader_ != 0 && answered_.size() == answered_.count(loader_);
  }

 private:
  const pid_t pid_;
  const uint64_t loader_;
  std::set<uint64_t> answered_;  // addresses of modules
};

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_UNWINDERS_H_
