#include "services/tracer/target/unwinders.h"

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "services/tracer/target/load_bias.h"

namespace flightrec::target {

void Unwinders::Adopt(absl::Span<const MappedModule> mapped) {
  for (const MappedModule& one : mapped) {
    if (!absl::StrContains(one.path, "/libgcc_s")) continue;
    answered_.insert(one.base);
    code_.push_back({one.base, one.end - one.base});
  }
}

absl::Status Unwinders::Answer(absl::Span<const MappedModule> mapped, HookInstaller& installer) {
  std::set<uint64_t> present;
  code_.clear();
  for (const MappedModule& one : mapped) {
    const bool is_loader = loader_ != 0 && one.base == loader_;
    if (!is_loader && !absl::StrContains(one.path, "/libgcc_s")) continue;
    present.insert(one.base);
    if (!is_loader) code_.push_back({one.base, one.end - one.base});
    if (answered_.count(one.base) != 0) continue;
    const absl::StatusOr<symbols::Module> module = ReadMappedModule(one);
    if (!module.ok()) return module.status();
    const absl::Status status = installer.AddUnwinder(*module, LoadBias(*module, one.base));
    if (!status.ok()) return status;
  }
  answered_ = std::move(present);
  return absl::OkStatus();
}

}  // namespace flightrec::target
