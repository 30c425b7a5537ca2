#include "services/tracer/symbols/dynamic_section.h"

#include <elf.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/string_view.h"
#include "services/tracer/symbols/byte_cursor.h"

// Not in the elf.h of older C libraries.
#ifndef DT_RELR
#define DT_RELRSZ 35
#define DT_RELR 36
#endif

namespace flightrec::symbols {
namespace {

struct DynamicTables {
  uint64_t rela = 0, rela_size = 0;  // vaddr, bytes
  uint64_t relr = 0, relr_size = 0;
  uint64_t plt_rela = 0, plt_rela_size = 0;
  uint64_t symbols = 0;
  uint64_t strings = 0;
  uint64_t soname = 0;
  bool has_soname = false;
  bool is_program = false;
};

DynamicTables ReadTables(absl::Span<const uint8_t> bytes) {
  DynamicTables tables;
  ByteCursor cursor(bytes);
  while (!cursor.AtEnd()) {
    const int64_t tag = cursor.Read<int64_t>();
    const uint64_t value = cursor.Read<uint64_t>();
    if (tag == DT_NULL || cursor.failed()) break;
    if (tag == DT_RELA) tables.rela = value;
    if (tag == DT_RELASZ) tables.rela_size = value;
    if (tag == DT_RELR) tables.relr = value;
    if (tag == DT_RELRSZ) tables.relr_size = value;
    if (tag == DT_JMPREL) tables.plt_rela = value;
    if (tag == DT_PLTRELSZ) tables.plt_rela_size = value;
    if (tag == DT_SYMTAB) tables.symbols = value;
    if (tag == DT_STRTAB) tables.strings = value;
    if (tag == DT_FLAGS_1) tables.is_program = (value & DF_1_PIE) != 0;
    if (tag == DT_SONAME) {
      tables.soname = value;
      tables.has_soname = true;
    }
  }
  return tables;
}

absl::Span<const uint8_t> Table(const Module& module, uint64_t vaddr, uint64_t size) {
  const auto bytes = module.BytesAt(vaddr);
  return bytes.subspan(0, std::min<uint64_t>(size, bytes.size()));
}

void AddCodePointer(uint64_t address, Module& module) {
  const Segment* segment = module.SegmentAt(address);
  if (segment != nullptr && segment->executable) {
    module.code_pointers.push_back(address);
  }
}

absl::string_view TextAt(const Module& module, uint64_t vaddr) {
  const auto bytes = module.BytesAt(vaddr);
  const char* text = reinterpret_cast<const char*>(bytes.data());
  return bytes.empty() ? absl::string_view() : absl::string_view(text, strnlen(text, bytes.size()));
}

// A word filled with a symbol's address.
void AddSlot(const DynamicTables& tables, const Elf64_Rela& entry, Module& module) {
  ByteCursor cursor(module.BytesAt(tables.symbols + ELF64_R_SYM(entry.r_info) * sizeof(Elf64_Sym)));
  const Elf64_Sym symbol = cursor.Read<Elf64_Sym>();
  if (cursor.failed() || !IsProfilerName(TextAt(module, tables.strings + symbol.st_name))) return;
  module.profiler_slots.push_back(entry.r_offset);
}

void ReadRela(const DynamicTables& tables, absl::Span<const uint8_t> bytes, Module& module) {
  ByteCursor cursor(bytes);
  while (true) {
    const Elf64_Rela entry = cursor.Read<Elf64_Rela>();
    if (cursor.failed()) return;
    switch (ELF64_R_TYPE(entry.r_info)) {
      case R_X86_64_RELATIVE:
        AddCodePointer(static_cast<uint64_t>(entry.r_addend), module);
        break;
      case R_X86_64_GLOB_DAT:
      case R_X86_64_JUMP_SLOT:
        AddSlot(tables, entry, module);
        break;
      default:
        break;
    }
  }
}

void AddPointee(uint64_t place, Module& module) {
  ByteCursor cursor(module.BytesAt(place));
  const uint64_t value = cursor.Read<uint64_t>();
  if (!cursor.failed()) AddCodePointer(value, module);
}

// RELR: an even entry is the address of one relocated word, an odd one a bitmap
// of the 63 words that follow the last address.
void ReadRelr(absl::Span<const uint8_t> bytes, Module& module) {
  ByteCursor cursor(bytes);
  uint64_t next = 0;
  while (true) {
    const uint64_t entry = cursor.Read<uint64_t>();
    if (cursor.failed()) return;
    if ((entry & 1) == 0) {
      AddPointee(entry, module);
      next = entry + 8;
      continue;
    }
    for (uint64_t bit = 0; bit < 63; ++bit) {
      if ((entry >> (bit + 1)) & 1) AddPointee(next + bit * 8, module);
    }
    next += 63 * 8;
  }
}

}  // namespace

void ReadDynamicSection(uint64_t vaddr, Module& module) {
  const DynamicTables tables = ReadTables(module.BytesAt(vaddr));
  module.is_program |= tables.is_program;
  if (tables.has_soname) {
    module.soname = std::string(TextAt(module, tables.strings + tables.soname));
  }
  ReadRela(tables, Table(module, tables.rela, tables.rela_size), module);
  ReadRela(tables, Table(module, tables.plt_rela, tables.plt_rela_size), module);
  std::sort(module.profiler_slots.begin(), module.profiler_slots.end());
  ReadRelr(Table(module, tables.relr, tables.relr_size), module);
  std::vector<uint64_t>& pointers = module.code_pointers;
  std::sort(pointers.begin(), pointers.end());
  pointers.erase(std::unique(pointers.begin(), pointers.end()), pointers.end());
}

}  // namespace flightrec::symbols
