#include "services/tracer/symbols/loader_info.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "services/tracer/symbols/byte_cursor.h"
#include "services/tracer/symbols/elf_file.h"

namespace flightrec::symbols {
namespace {

constexpr uint64_t kMaxDynamicBytes = 1 << 20;
constexpr uint64_t kMaxPathBytes = 4096;

// File content from `vaddr` on, at most `most` bytes; empty when there is none.
std::vector<uint8_t> ReadAt(const ElfFile& file, uint64_t vaddr, uint64_t most) {
  for (const Elf64_Phdr& program : file.program_headers()) {
    if (program.p_type != PT_LOAD || vaddr < program.p_vaddr ||
        vaddr - program.p_vaddr >= program.p_filesz) {
      continue;
    }
    const uint64_t offset = vaddr - program.p_vaddr;
    auto bytes = file.Read(program.p_offset + offset, std::min(most, program.p_filesz - offset));
    if (bytes.ok()) return *std::move(bytes);
  }
  return {};
}

std::string Text(const std::vector<uint8_t>& bytes) {
  const char* text = reinterpret_cast<const char*>(bytes.data());
  return bytes.empty() ? std::string() : std::string(text, strnlen(text, bytes.size()));
}

void ReadDynamic(const ElfFile& file, const std::vector<uint8_t>& dynamic, LoaderInfo& info) {
  std::vector<std::pair<int64_t, uint64_t>> names;
  uint64_t strings = 0;
  ByteCursor cursor(dynamic);
  while (!cursor.AtEnd()) {
    const int64_t tag = cursor.Read<int64_t>();
    const uint64_t value = cursor.Read<uint64_t>();
    if (tag == DT_NULL || cursor.failed()) break;
    if (tag == DT_STRTAB) strings = value;
    if (tag == DT_NEEDED || tag == DT_SONAME || tag == DT_RPATH || tag == DT_RUNPATH) {
      names.emplace_back(tag, value);
    }
  }
  for (const auto& [tag, offset] : names) {
    std::string text = Text(ReadAt(file, strings + offset, kMaxPathBytes));
    if (tag == DT_NEEDED) info.needed.push_back(std::move(text));
    if (tag == DT_SONAME) info.soname = std::move(text);
    if (tag == DT_RPATH) info.rpath = std::move(text);
    if (tag == DT_RUNPATH) info.runpath = std::move(text);
  }
}

}  // namespace

absl::StatusOr<LoaderInfo> ReadLoaderInfo(const std::string& path) {
  auto file = ElfFile::Open(path);
  if (!file.ok()) return file.status();
  LoaderInfo info;
  for (const Elf64_Phdr& program : file->program_headers()) {
    if (program.p_type != PT_INTERP && program.p_type != PT_DYNAMIC) continue;
    auto bytes = file->Read(program.p_offset, std::min(program.p_filesz, kMaxDynamicBytes));
    if (!bytes.ok()) return bytes.status();
    if (program.p_type == PT_INTERP) info.interpreter = Text(*bytes);
    if (program.p_type == PT_DYNAMIC) ReadDynamic(*file, *bytes, info);
  }
  return info;
}

}  // namespace flightrec::symbols
