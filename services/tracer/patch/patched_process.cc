#include "services/tracer/patch/patched_process.h"

#include <link.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/tracer/patch/planner.h"
#include "services/tracer/patch/relocate.h"
#include "services/tracer/patch/site.h"
#include "services/tracer/symbols/module.h"
#include "services/tracer/symbols/module_reader.h"

namespace flightrec::patch {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kSearchStep = 1 << 20;
constexpr int kMaxSearchSteps = 1500;

struct LoadedLibrary {
  std::string name;  // wanted; then the path
  uint64_t bias = 0;
  uint64_t end = 0;
  bool found = false;
};

int FindLoaded(dl_phdr_info* info, size_t, void* argument) {
  auto* library = static_cast<LoadedLibrary*>(argument);
  const std::string path = info->dlpi_name;
  if (!absl::StartsWith(path.substr(path.find_last_of('/') + 1), library->name)) return 0;
  library->name = path;
  library->bias = info->dlpi_addr;
  library->found = true;
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const ElfW(Phdr)& program = info->dlpi_phdr[i];
    if (program.p_type != PT_LOAD) continue;
    library->end = std::max(library->end, info->dlpi_addr + program.p_vaddr + program.p_memsz);
  }
  return 1;
}

// Free memory within 2 GiB behind the library, or 0.
uint64_t MapNear(const LoadedLibrary& library, uint64_t size) {
  uint64_t address = (library.end + kPage - 1) / kPage * kPage;
  for (int i = 0; i < kMaxSearchSteps; ++i, address += kSearchStep) {
    void* at = mmap(reinterpret_cast<void*>(address), size, PROT_READ | PROT_WRITE | PROT_EXEC,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (at != MAP_FAILED) return address;
  }
  return 0;
}

absl::Status MakeWritable(const symbols::Module& module, uint64_t bias) {
  for (const symbols::Segment& segment : module.segments) {
    if (!segment.executable) continue;
    const uint64_t begin = (bias + segment.vaddr) / kPage * kPage;
    const uint64_t size = bias + segment.vaddr + segment.memory_size - begin;
    if (mprotect(reinterpret_cast<void*>(begin), size, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("mprotect of ", module.path));
    }
  }
  return absl::OkStatus();
}

struct Write {
  uint64_t address;
  std::array<uint8_t, kPatchBytes> bytes;
};

}  // namespace

absl::StatusOr<size_t> PatchLoadedLibrary(const std::string& name) {
  LoadedLibrary library;
  library.name = name;
  dl_iterate_phdr(&FindLoaded, &library);
  if (!library.found) return absl::NotFoundError(absl::StrCat(name, " is not loaded"));
  auto module = symbols::ReadModule(library.name);
  if (!module.ok()) return module.status();
  std::vector<uint32_t> all(module->functions.size());
  std::iota(all.begin(), all.end(), 0u);
  const PlanResult plan = Planner(*module).Plan(all);
  uint64_t copy = MapNear(library, (plan.sites.size() + 1) * kMaxRelocatedBytes);
  if (copy == 0) return absl::ResourceExhaustedError("no memory near the library");
  std::vector<Write> writes;
  for (const Site& site : plan.sites) {
    auto moved = RelocatePrologue(site, library.bias, copy);
    if (!moved.ok()) return moved.status();
    auto jump = EncodeJump(library.bias + site.address, copy);
    if (!jump.ok()) return jump.status();
    std::copy(moved->code.begin(), moved->code.end(), reinterpret_cast<uint8_t*>(copy));
    writes.push_back({library.bias + site.address, *jump});
    copy += kMaxRelocatedBytes;
  }
  if (absl::Status writable = MakeWritable(*module, library.bias); !writable.ok()) return writable;
  // No call may happen between the bytes of one patch: it could be the patched
  // function. Volatile keeps the compiler from making one of this loop.
  for (const Write& write : writes) {
    auto* target = reinterpret_cast<volatile uint8_t*>(write.address);
    for (size_t i = 0; i < kPatchBytes; ++i) target[i] = write.bytes[i];
  }
  return writes.size();
}

}  // namespace flightrec::patch
