#include "services/tracer/host/elf_kind.h"

#include <elf.h>

#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/tracer/host/proc_directory.h"
#include "services/tracer/symbols/build_id.h"
#include "services/tracer/symbols/elf_file.h"
#include "services/tracer/symbols/elf_section.h"
#include "services/tracer/symbols/go_runtime.h"

namespace flightrec::host {
namespace {

// In common/rpc/server.cc.
constexpr char kServiceSection[] = ".flightrec_service";

std::string Interpreter(const symbols::ElfFile& file) {
  for (const Elf64_Phdr& header : file.program_headers()) {
    if (header.p_type != PT_INTERP) continue;
    const absl::StatusOr<std::vector<uint8_t>> bytes = file.Read(header.p_offset, header.p_filesz);
    // It runs, so it has one, whatever the file says now.
    if (!bytes.ok()) return "?";
    const std::string text(bytes->begin(), bytes->end());
    return text.c_str();
  }
  return "";
}

}  // namespace

std::string MachineName(const ElfKind& kind) {
  const char* bits = kind.is_64_bit ? "64-bit " : "32-bit ";
  switch (kind.machine) {
    case EM_386:
    case EM_X86_64:
      return absl::StrCat(bits, "x86");
    case EM_ARM:
    case EM_AARCH64:
      return absl::StrCat(bits, "ARM");
    case EM_RISCV:
      return absl::StrCat(bits, "RISC-V");
    default:
      return absl::StrCat(bits, "machine ", kind.machine);
  }
}

absl::StatusOr<ElfKind> ReadElfKind(const std::string& path) {
  const absl::StatusOr<std::string> start = ReadTextFile(path, sizeof(Elf32_Ehdr));
  if (!start.ok()) return start.status();
  // Both classes have the machine in the same place.
  Elf32_Ehdr header{};
  if (start->size() < sizeof(header) || !absl::StartsWith(*start, ELFMAG)) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not an ELF file"));
  }
  std::memcpy(&header, start->data(), sizeof(header));
  ElfKind kind;
  kind.is_64_bit = header.e_ident[EI_CLASS] == ELFCLASS64;
  kind.machine = header.e_machine;
  if (!kind.is_64_bit || kind.machine != EM_X86_64) return kind;
  const absl::StatusOr<symbols::ElfFile> file = symbols::ElfFile::Open(path);
  if (!file.ok()) return file.status();
  kind.interpreter = Interpreter(*file);
  kind.is_go = symbols::HasGoRuntime(*file);
  kind.has_symtab = symbols::ElfSection::Exists(*file, ".symtab");
  kind.is_flightrec_service = symbols::ElfSection::Exists(*file, kServiceSection);
  kind.build_id = symbols::ReadBuildId(*file);
  return kind;
}

}  // namespace flightrec::host
