#include "services/tracer/target/process_starts.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace flightrec::target {
namespace {

using Names = absl::flat_hash_set<absl::string_view>;

void AddAll(const symbols::Module& module, const Names& names, agent::ProcessEvent event,
            std::vector<StartPoint>& points) {
  for (uint32_t i = 0; i < module.functions.size(); ++i) {
    const symbols::Function& function = module.functions[i];
    const auto named = [&names](const std::string& name) { return names.contains(name); };
    if (function.kind != symbols::Kind::kFunction) continue;
    if (named(function.symbol) ||
        std::any_of(function.aliases.begin(), function.aliases.end(), named))
      points.push_back({i, event});
  }
}

// The first of the sets that the module has: what is behind calls what is in front.
void AddInnermost(const symbols::Module& module, const std::vector<Names>& candidates,
                  agent::ProcessEvent event, std::vector<StartPoint>& points) {
  const size_t before = points.size();
  for (const Names& names : candidates) {
    AddAll(module, names, event, points);
    if (points.size() > before) return;
  }
}

bool Has(const symbols::Module& module, absl::string_view name) {
  std::vector<StartPoint> found;
  AddAll(module, {name}, agent::kForks, found);
  return !found.empty();
}

}  // namespace

std::vector<StartPoint> FindStartPoints(const symbols::Module& module) {
  std::vector<StartPoint> points;
  AddInnermost(module, {{"_Fork"}, {"fork", "__fork", "__libc_fork"}}, agent::kForks, points);
  AddAll(module, {"vfork", "__vfork", "__libc_vfork"}, agent::kVforks, points);
  // musl's posix_spawnp calls posix_spawn; glibc's do not call each other.
  Names spawns = {"posix_spawn", "__posix_spawn"};
  if (Has(module, "gnu_get_libc_version")) spawns.insert({"posix_spawnp", "__posix_spawnp"});
  AddInnermost(module, {{"__spawni"}, spawns}, agent::kSpawns, points);
  AddAll(module, {"clone", "__clone"}, agent::kClones, points);
  AddAll(module, {"execve", "__execve", "execveat", "fexecve"}, agent::kExecBegins, points);
  return points;
}

bool IsCLibrary(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  return absl::StartsWith(name, "libc.so") || absl::StartsWith(name, "libc-2.") ||
         absl::StartsWith(name, "libc.musl") || absl::StartsWith(name, "ld-musl");
}

}  // namespace flightrec::target
