#include "services/tracer/target/unwinders.h"

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "services/tracer/inject/memory_map.h"
#include "services/tracer/symbols/module_reader.h"
#include "services/tracer/target/load_bias.h"

namespace flightrec::target {

absl::Status Unwinders::Answer(HookInstaller& installer) {
  const absl::StatusOr<inject::MemoryMap> map = inject::MemoryMap::Read(pid_);
  if (!map.ok()) return map.status();
  std::set<uint64_t> present;
  for (const inject::Mapping& mapping : map->mappings()) {
    if (mapping.file_offset != 0 || mapping.path.empty()) continue;
    const bool is_loader = loader_ != 0 && mapping.low == loader_;
    if (!is_loader && !absl::StrContains(mapping.path, "/libgcc_s")) continue;
    present.insert(mapping.low);
    if (answered_.count(mapping.low) != 0) continue;
    const absl::StatusOr<symbols::Module> module = symbols::ReadModule(mapping.path);
    if (!module.ok()) return module.status();
    const absl::Status status = installer.AddUnwinder(*module, LoadBias(*module, mapping.low));
    if (!status.ok()) return status;
  }
  answered_ = std::move(present);
  return absl::OkStatus();
}

}  // namespace flightrec::target
