#include "services/tracer/symbols/compile_directories.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "services/tracer/symbols/byte_cursor.h"
#include "services/tracer/symbols/elf_section.h"

namespace flightrec::symbols {
namespace {

// DWARF 5, section 7.5.
constexpr uint64_t kAttributeLines = 0x10;      // DW_AT_stmt_list
constexpr uint64_t kAttributeDirectory = 0x1b;  // DW_AT_comp_dir
constexpr uint64_t kFormIndirect = 0x16;
constexpr uint64_t kFormImplicitConst = 0x21;
constexpr uint8_t kUnitCompile = 1;

constexpr uint64_t kMaxUnits = 1 << 20;
constexpr uint64_t kMaxAbbreviationBytes = 256 << 20;
// The header and the first entry of a unit, which may hold text.
constexpr uint64_t kEntryBytes = 8192;
// Attributes of abbreviations read for the whole file: many units of a hostile
// file could name the same long table.
constexpr int kMaxSteps = 64 << 20;
constexpr size_t kMaxAttributes = 1024;  // of one entry

struct Attribute {
  uint64_t name = 0;
  uint64_t form = 0;
};

class UnitReader {
 public:
  UnitReader(std::vector<uint8_t> abbreviations, const DwarfText& text)
      : abbreviations_(std::move(abbreviations)), text_(text) {}

  // `unit`: from the unit's length on.
  void Read(absl::Span<const uint8_t> unit, CompileDirectories& directories) {
    ByteCursor cursor(unit);
    const bool is_64bit = cursor.Read<uint32_t>() == UINT32_MAX;
    if (is_64bit) cursor.Read<uint64_t>();
    const auto offset = [&] {
      return is_64bit ? cursor.Read<uint64_t>() : uint64_t{cursor.Read<uint32_t>()};
    };
    const uint16_t version = cursor.Read<uint16_t>();
    if (version < 2 || version > 5) return;
    if (version == 5) {
      if (cursor.Read<uint8_t>() != kUnitCompile) return;
      cursor.Read<uint8_t>();  // size of an address
    }
    const uint64_t table = offset();
    if (version < 5) cursor.Read<uint8_t>();
    ReadEntry(Attributes(table, cursor.ReadUleb()), is_64bit, cursor, directories);
  }

 private:
  // What the entry with abbreviation `code` is made of.
  std::vector<Attribute> Attributes(uint64_t table, uint64_t code) {
    if (code == 0 || table > abbreviations_.size()) return {};
    ByteCursor cursor(absl::MakeConstSpan(abbreviations_).subspan(table));
    std::vector<Attribute> attributes;
    while (!cursor.AtEnd()) {
      if (++steps_ > kMaxSteps) return {};
      const uint64_t own = cursor.ReadUleb();
      if (own == 0) return {};
      cursor.ReadUleb();       // tag
      cursor.Read<uint8_t>();  // whether it has children
      attributes.clear();
      while (!cursor.AtEnd()) {
        const Attribute attribute = {cursor.ReadUleb(), cursor.ReadUleb()};
        if (attribute.form == kFormImplicitConst) cursor.ReadSleb();
        if (attribute.name == 0 && attribute.form == 0) break;
        if (++steps_ > kMaxSteps || attributes.size() == kMaxAttributes) return {};
        attributes.push_back(attribute);
      }
      if (own == code) return attributes;
    }
    return {};
  }

  void ReadEntry(const std::vector<Attribute>& attributes, bool is_64bit, ByteCursor& cursor,
                 CompileDirectories& directories) {
    uint64_t lines = UINT64_MAX;
    std::string directory;
    for (const Attribute& attribute : attributes) {
      const uint64_t form = attribute.form == kFormIndirect ? cursor.ReadUleb() : attribute.form;
      const DwarfValue value = ReadDwarfForm(form, is_64bit, cursor);
      if (cursor.failed()) break;
      if (attribute.name == kAttributeLines) lines = value.number;
      if (attribute.name == kAttributeDirectory) directory = TextOf(value, text_);
    }
    if (lines != UINT64_MAX && !directory.empty()) directories[lines] = std::move(directory);
  }

  const std::vector<uint8_t> abbreviations_;
  const DwarfText text_;
  int steps_ = 0;
};

}  // namespace

CompileDirectories ReadCompileDirectories(const ElfFile& file, const DwarfText& text) {
  CompileDirectories directories;
  const auto info = ElfSection::Open(file, ".debug_info");
  const auto abbreviations = ElfSection::Open(file, ".debug_abbrev");
  if (!info.ok() || !abbreviations.ok()) return directories;
  auto table = abbreviations->Read(0, std::min(abbreviations->size(), kMaxAbbreviationBytes));
  if (!table.ok()) return directories;
  UnitReader reader(*std::move(table), text);
  uint64_t offset = 0;
  for (uint64_t units = 0; units < kMaxUnits && offset < info->size(); ++units) {
    const auto bytes = info->Read(offset, std::min(kEntryBytes, info->size() - offset));
    if (!bytes.ok()) break;
    ByteCursor cursor(*bytes);
    uint64_t length = cursor.Read<uint32_t>();
    if (length == UINT32_MAX) length = cursor.Read<uint64_t>();
    if (cursor.failed() || length > info->size() - offset - cursor.position()) break;
    reader.Read(*bytes, directories);
    offset += cursor.position() + length;
  }
  return directories;
}

}  // namespace flightrec::symbols
