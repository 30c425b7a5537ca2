// The unwinders that a program has loaded, apart from one of its own: which of
// them are answered for our code already.
//
// For the thread that traces the process. Changes nothing in it: the answers are
// prepared at a HookInstaller.
#ifndef SERVICES_TRACER_TARGET_UNWINDERS_H_
#define SERVICES_TRACER_TARGET_UNWINDERS_H_

#include <cstdint>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "services/tracer/target/hook_installer.h"
#include "services/tracer/target/mapped_modules.h"
#include "services/tracer/target/process_memory.h"

namespace flightrec::target {

class Unwinders {
 public:
  // `loader`: the address of the dynamic loader, which looks objects up; 0: none.
  explicit Unwinders(uint64_t loader) : loader_(loader) {}

  // Prepares the answers that are missing, and forgets what is not there any more.
  absl::Status Answer(absl::Span<const MappedModule> mapped, HookInstaller& installer);

  // Those that another tracer has answered for.
  void Adopt(absl::Span<const MappedModule> mapped);

  // Code of those found, without the loader's.
  const std::vector<RegionSpace>& code() const { return code_; }

  // Found none but the loader's.
  bool may_come_later() const {
    return loader_ != 0 && answered_.size() == answered_.count(loader_);
  }

 private:
  const uint64_t loader_;
  std::set<uint64_t> answered_;  // addresses of modules
  std::vector<RegionSpace> code_;
};

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_UNWINDERS_H_
