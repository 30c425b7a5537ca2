#include "services/tracer/target/loader_events.h"

#include <elf.h>
#include <link.h>

#include <cstddef>

namespace flightrec::target {
namespace {

constexpr uint64_t kMaxHeaders = 256;
constexpr uint64_t kMaxDynamicEntries = 1024;

template <typename T>
bool ReadAt(const inject::RemoteProcess& process, uint64_t address, T& out) {
  return process.Read(address, absl::MakeSpan(reinterpret_cast<uint8_t*>(&out), sizeof(out))).ok();
}

// Address of the program's dynamic section; 0: none.
uint64_t FindDynamic(const inject::RemoteProcess& process, const EntryPoints& entries) {
  uint64_t bias = 0, dynamic = 0;
  for (uint64_t i = 0; i < entries.header_count && i < kMaxHeaders; ++i) {
    Elf64_Phdr header;
    if (!ReadAt(process, entries.headers + i * sizeof(header), header)) return 0;
    if (header.p_type == PT_PHDR) bias = entries.headers - header.p_vaddr;
    if (header.p_type == PT_DYNAMIC) dynamic = header.p_vaddr;
  }
  return dynamic == 0 ? 0 : dynamic + bias;
}

}  // namespace

absl::optional<LoaderEvents> FindLoaderEvents(const inject::RemoteProcess& process,
                                              const EntryPoints& entries) {
  const uint64_t dynamic = FindDynamic(process, entries);
  if (entries.loader == 0 || dynamic == 0) return absl::nullopt;
  for (uint64_t i = 0; i < kMaxDynamicEntries; ++i) {
    Elf64_Dyn entry;
    if (!ReadAt(process, dynamic + i * sizeof(entry), entry) || entry.d_tag == DT_NULL) break;
    if (entry.d_tag != DT_DEBUG || entry.d_un.d_ptr == 0) continue;
    uint64_t function = 0;
    if (!ReadAt(process, entry.d_un.d_ptr + offsetof(r_debug, r_brk), function)) break;
    if (function == 0) break;
    return LoaderEvents{function, entry.d_un.d_ptr + offsetof(r_debug, r_state)};
  }
  return absl::nullopt;
}

}  // namespace flightrec::target
