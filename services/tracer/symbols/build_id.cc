#include "services/tracer/symbols/build_id.h"

#include <elf.h>

#include <algorithm>
#include <cstring>

#include "absl/types/span.h"
#include "services/tracer/symbols/byte_cursor.h"

namespace flightrec::symbols {
namespace {

constexpr uint64_t kMaxNoteBytes = 1 << 20;

std::vector<uint8_t> FindInNotes(absl::Span<const uint8_t> notes) {
  ByteCursor cursor(notes);
  while (!cursor.AtEnd()) {
    const Elf64_Nhdr note = cursor.Read<Elf64_Nhdr>();
    const size_t name = cursor.position();
    cursor.Skip((uint64_t{note.n_namesz} + 3) & ~3ull);
    const size_t content = cursor.position();
    cursor.Skip(note.n_descsz);
    if (cursor.failed()) return {};
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
        std::memcmp(notes.data() + name, "GNU", 4) == 0) {
      const auto id = notes.subspan(content, note.n_descsz);
      return {id.begin(), id.end()};
    }
    cursor.Skip((4 - note.n_descsz % 4) % 4);
  }
  return {};
}

std::vector<uint8_t> ReadAt(const ElfFile& file, uint64_t offset, uint64_t size) {
  const auto notes = file.Read(offset, std::min(size, kMaxNoteBytes));
  return notes.ok() ? FindInNotes(*notes) : std::vector<uint8_t>();
}

}  // namespace

// The segments of a separate debug file may point at nothing: its sections
// count, and the segments for files without sections.
std::vector<uint8_t> ReadBuildId(const ElfFile& file) {
  std::vector<uint8_t> id;
  for (const Elf64_Shdr& section : file.sections()) {
    if (section.sh_type != SHT_NOTE) continue;
    id = ReadAt(file, section.sh_offset, section.sh_size);
    if (!id.empty()) return id;
  }
  for (const Elf64_Phdr& program : file.program_headers()) {
    if (program.p_type != PT_NOTE) continue;
    id = ReadAt(file, program.p_offset, program.p_filesz);
    if (!id.empty()) return id;
  }
  return id;
}

}  // namespace flightrec::symbols
