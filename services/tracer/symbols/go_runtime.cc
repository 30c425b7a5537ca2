#include "services/tracer/symbols/go_runtime.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/tracer/symbols/elf_section.h"

namespace flightrec::symbols {
namespace {

// What is left of them in a stripped program differs between versions of Go.
constexpr const char* kSections[] = {".go.buildinfo", ".note.go.buildid", ".gopclntab",
                                     ".data.rel.ro.gopclntab"};
constexpr absl::string_view kBuildInfo = "\xff Go buildinf:";
constexpr size_t kBuildInfoAlignment = 16;
// Go's linker puts it at the start of the data; an external one not far behind.
constexpr uint64_t kMaxSearched = uint64_t{64} << 10;
constexpr absl::string_view kNoteName("Go\0\0", 4);

bool StartsWithGoNote(const ElfFile& file, const Elf64_Phdr& notes) {
  const auto bytes = file.Read(notes.p_offset, sizeof(Elf64_Nhdr) + kNoteName.size());
  if (!bytes.ok()) return false;
  Elf64_Nhdr note;
  std::memcpy(&note, bytes->data(), sizeof(note));
  return note.n_namesz == kNoteName.size() &&
         std::memcmp(bytes->data() + sizeof(note), kNoteName.data(), kNoteName.size()) == 0;
}

bool HasBuildInfo(const ElfFile& file, const Elf64_Phdr& data) {
  const auto bytes = file.Read(data.p_offset, std::min(data.p_filesz, kMaxSearched));
  if (!bytes.ok()) return false;
  size_t at = (kBuildInfoAlignment - data.p_vaddr % kBuildInfoAlignment) % kBuildInfoAlignment;
  for (; at + kBuildInfo.size() <= bytes->size(); at += kBuildInfoAlignment) {
    if (std::memcmp(bytes->data() + at, kBuildInfo.data(), kBuildInfo.size()) == 0) return true;
  }
  return false;
}

}  // namespace

bool HasGoRuntime(const ElfFile& file) {
  for (const char* section : kSections) {
    if (ElfSection::Exists(file, section)) return true;
  }
  return std::any_of(file.program_headers().begin(), file.program_headers().end(),
                     [&file](const Elf64_Phdr& header) {
                       if (header.p_type == PT_NOTE) return StartsWithGoNote(file, header);
                       return header.p_type == PT_LOAD && (header.p_flags & PF_W) != 0 &&
                              HasBuildInfo(file, header);
                     });
}

}  // namespace flightrec::symbols
