#include "services/tracer/target/mapped_modules.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "services/tracer/inject/memory_map.h"
#include "services/tracer/lane/layout.h"
#include "services/tracer/symbols/module_reader.h"

namespace flightrec::target {
namespace {

constexpr absl::string_view kDeleted = " (deleted)";

// The file behind a mapping, whatever has become of its path. It takes a capability to open it;
// without that the path is looked up where the process has its root.
std::string FileOf(pid_t pid, const inject::Mapping& mapping, bool is_main) {
  const std::string link = absl::StrCat("/proc/", pid, "/map_files/", absl::Hex(mapping.low), "-",
                                        absl::Hex(mapping.high));
  const int file = open(link.c_str(), O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    close(file);
    return link;
  }
  return is_main ? absl::StrCat("/proc/", pid, "/exe")
                 : absl::StrCat("/proc/", pid, "/root", mapping.path);
}

// The same file may be mapped as data too, below its code or above it.
void AddMapping(const inject::Mapping& mapping, bool is_main, std::set<std::string>& with_code,
                std::vector<MappedModule>& modules) {
  const auto known = std::find_if(modules.begin(), modules.end(), [&](const MappedModule& one) {
    return one.path == mapping.path;
  });
  const bool has_code = with_code.count(mapping.path) != 0;
  if (mapping.executable) with_code.insert(mapping.path);
  if (known == modules.end()) {
    if (mapping.file_offset != 0) return;
    modules.insert(is_main ? modules.begin() : modules.end(),
                   {mapping.path, mapping.low, is_main, mapping.high, ""});
    return;
  }
  // Segments of a small module may share the first page of the file.
  const bool continues = known->end == mapping.low && known->end - known->base <= lane::kPageBytes;
  if (mapping.file_offset == 0 && !has_code && !continues) known->base = mapping.low;
  if (mapping.file_offset != 0 || !has_code || known->end == mapping.low) known->end = mapping.high;
}

void FindFiles(pid_t pid, const inject::MemoryMap& map, std::vector<MappedModule>& modules) {
  for (MappedModule& module : modules) {
    for (const inject::Mapping& mapping : map.mappings()) {
      if (mapping.low == module.base) module.file = FileOf(pid, mapping, module.is_main_executable);
    }
    module.path = std::string(absl::StripSuffix(module.path, kDeleted));
  }
}

}  // namespace

absl::StatusOr<std::string> ReadMainPath(pid_t pid) {
  const std::string link = absl::StrCat("/proc/", pid, "/exe");
  std::string path(PATH_MAX, '\0');
  const ssize_t length = readlink(link.c_str(), path.data(), path.size());
  if (length < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", link));
  path.resize(static_cast<size_t>(length));
  return path;
}

absl::StatusOr<std::vector<MappedModule>> ListMappedModules(pid_t pid, const std::string& main_path,
                                                            Files files) {
  const absl::StatusOr<inject::MemoryMap> map = inject::MemoryMap::Read(pid);
  if (!map.ok()) return map.status();
  std::vector<MappedModule> modules;
  std::set<std::string> with_code;
  for (const inject::Mapping& mapping : map->mappings()) {
    if (mapping.path.empty() || mapping.path[0] != '/') continue;
    AddMapping(mapping, mapping.path == main_path, with_code, modules);
  }
  modules.erase(
      std::remove_if(modules.begin(), modules.end(),
                     [&](const MappedModule& one) { return with_code.count(one.path) == 0; }),
      modules.end());
  if (modules.empty() || !modules.front().is_main_executable) {
    return absl::FailedPreconditionError(absl::StrCat(
        main_path, " is not mapped in its own process; was the file replaced meanwhile?"));
  }
  if (files == Files::kOfProcess) FindFiles(pid, *map, modules);
  return modules;
}

absl::StatusOr<symbols::Module> ReadMappedModule(const MappedModule& mapped) {
  if (mapped.file.empty()) return symbols::ReadModule(mapped.path);
  absl::StatusOr<symbols::Module> module = symbols::ReadModule(mapped.file);
  if (!module.ok()) return module;
  module->path = mapped.path;
  module->file = mapped.file;
  return module;
}

}  // namespace flightrec::target
