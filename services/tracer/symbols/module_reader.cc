#include "services/tracer/symbols/module_reader.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "services/tracer/symbols/build_id.h"
#include "services/tracer/symbols/dynamic_section.h"
#include "services/tracer/symbols/eh_frame.h"
#include "services/tracer/symbols/elf_file.h"
#include "services/tracer/symbols/elf_section.h"
#include "services/tracer/symbols/go_runtime.h"
#include "services/tracer/symbols/nameless_unwinder.h"
#include "services/tracer/symbols/symbol_table.h"

namespace flightrec::symbols {
namespace {

constexpr uint64_t kMaxLoadedBytes = 4ull << 30;
constexpr uint64_t kMaxInterpreterBytes = 4096;

absl::Status ReadSegments(const ElfFile& file, Module& module) {
  uint64_t total = 0;
  for (const Elf64_Phdr& program : file.program_headers()) {
    if (program.p_type != PT_LOAD) continue;
    if (program.p_filesz > program.p_memsz || program.p_vaddr + program.p_memsz < program.p_vaddr) {
      return file.Damaged(
          absl::StrCat("segment at 0x", absl::Hex(program.p_vaddr), " has an impossible size"));
    }
    total += program.p_filesz;
    if (program.p_filesz > kMaxLoadedBytes || total > kMaxLoadedBytes) {
      return file.Damaged("it loads more than 4 GiB");
    }
    auto bytes = file.Read(program.p_offset, program.p_filesz);
    if (!bytes.ok()) return bytes.status();
    Segment segment;
    segment.vaddr = program.p_vaddr;
    segment.memory_size = program.p_memsz;
    segment.executable = (program.p_flags & PF_X) != 0;
    segment.writable = (program.p_flags & PF_W) != 0;
    segment.bytes = *std::move(bytes);
    module.segments.push_back(std::move(segment));
  }
  std::sort(module.segments.begin(), module.segments.end(),
            [](const Segment& a, const Segment& b) { return a.vaddr < b.vaddr; });
  return absl::OkStatus();
}

// 128 bits of two FNV-1a sums, the second over the bytes mixed with their
// order. Not cryptographic: it separates builds, it does not authenticate them.
std::vector<uint8_t> HashSegments(const Module& module) {
  constexpr uint64_t kPrime = 0x100000001b3;
  uint64_t low = 0xcbf29ce484222325;
  uint64_t high = 0x84222325cbf29ce4;
  for (const Segment& segment : module.segments) {
    for (const uint8_t byte : segment.bytes) {
      low = (low ^ byte) * kPrime;
      high = (high ^ byte ^ (low >> 32)) * kPrime;
    }
  }
  std::vector<uint8_t> hash(16);
  std::memcpy(hash.data(), &low, 8);
  std::memcpy(hash.data() + 8, &high, 8);
  return hash;
}

void ReadEhFrameOf(uint64_t header_vaddr, Module& module) {
  const uint64_t vaddr = EhFrameAddress(module.BytesAt(header_vaddr), header_vaddr);
  if (vaddr == 0) return;
  module.code_ranges = ReadEhFrame(module.BytesAt(vaddr), vaddr);
}

// Linkers leave the header out of static programs.
void ReadEhFrameSection(const ElfFile& file, Module& module) {
  const uint64_t vaddr = ElfSection::Address(file, ".eh_frame");
  if (vaddr != 0) module.code_ranges = ReadEhFrame(module.BytesAt(vaddr), vaddr);
}

absl::Status ReadOtherHeaders(const ElfFile& file, Module& module) {
  for (const Elf64_Phdr& program : file.program_headers()) {
    if (program.p_type == PT_DYNAMIC) {
      ReadDynamicSection(program.p_vaddr, module);
    } else if (program.p_type == PT_GNU_EH_FRAME) {
      ReadEhFrameOf(program.p_vaddr, module);
    } else if (program.p_type == PT_INTERP) {
      auto bytes = file.Read(program.p_offset, std::min(program.p_filesz, kMaxInterpreterBytes));
      if (!bytes.ok()) return bytes.status();
      const char* text = reinterpret_cast<const char*>(bytes->data());
      module.is_program = true;
      if (!bytes->empty()) {
        module.interpreter.assign(text, strnlen(text, bytes->size()));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Module> ReadModule(const std::string& path, const DebugDirectories& directories) {
  auto file = ElfFile::Open(path);
  if (!file.ok()) return file.status();
  Module module;
  module.path = path;
  module.entry = file->header().e_entry;
  module.is_pie = file->header().e_type == ET_DYN;
  module.is_program = !module.is_pie;
  if (absl::Status read = ReadSegments(*file, module); !read.ok()) return read;
  if (absl::Status read = ReadOtherHeaders(*file, module); !read.ok()) {
    return read;
  }
  if (module.code_ranges.empty()) ReadEhFrameSection(*file, module);
  module.has_go_runtime = HasGoRuntime(*file);
  module.build_id = ReadBuildId(*file);
  const absl::optional<ElfFile> debug =
      FindDebugFile(*file, module.build_id, directories, module.notes);
  if (debug.has_value()) module.debug_file = debug->path();
  if (module.build_id.empty()) {
    module.build_id = HashSegments(module);
    module.build_id_is_hash = true;
  }
  module.is_dynamic_loader = absl::StartsWith(module.soname, "ld-linux");
  ReadFunctions(*file, debug.has_value() ? &*debug : nullptr, module);
  if (!module.has_symtab) FindNamelessUnwinder(module);
  return module;
}

}  // namespace flightrec::symbols
