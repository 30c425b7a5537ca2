#include "services/tracer/symbols/symbol_table.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/tracer/symbols/names.h"

namespace flightrec::symbols {
namespace {

constexpr size_t kMaxSymbols = 16u << 20;

struct Symbol {
  uint64_t offset = 0;
  uint64_t size = 0;
  uint8_t binding = STB_LOCAL;
  bool ifunc = false;
  bool exported = false;
  std::string name;
};

// Smaller is the better name for a person: one that other files can see, then
// the fewest leading underscores ("read" before "__libc_read"), then global
// before weak, then short. The last key makes the order total.
auto NameRank(const Symbol& symbol) {
  const size_t underscores = symbol.name.find_first_not_of('_');
  const int binding = symbol.binding == STB_LOCAL ? 2 : symbol.binding == STB_WEAK ? 1 : 0;
  return std::make_tuple(symbol.binding == STB_LOCAL, underscores, binding, symbol.name.size(),
                         std::cref(symbol.name));
}

bool IsFunctionInCode(const Elf64_Sym& raw, const Module& module) {
  const auto type = ELF64_ST_TYPE(raw.st_info);
  if (type != STT_FUNC && type != STT_GNU_IFUNC) return false;
  if (raw.st_shndx == SHN_UNDEF) return false;
  const Segment* segment = module.SegmentAt(raw.st_value);
  return segment != nullptr && segment->executable;
}

void ReadTable(const ElfFile& file, const Elf64_Shdr& section, const Module& module,
               std::vector<Symbol>& symbols) {
  if (section.sh_link >= file.sections().size()) return;
  const Elf64_Shdr& strings = file.sections()[section.sh_link];
  auto table = file.Read(section.sh_offset, section.sh_size);
  auto text = file.Read(strings.sh_offset, strings.sh_size);
  if (!table.ok() || !text.ok()) return;
  const size_t count = std::min(table->size() / sizeof(Elf64_Sym), kMaxSymbols);
  for (size_t i = 0; i < count; ++i) {
    Elf64_Sym raw;
    std::memcpy(&raw, table->data() + i * sizeof(raw), sizeof(raw));
    if (!IsFunctionInCode(raw, module) || raw.st_name >= text->size()) continue;
    const char* name = reinterpret_cast<const char*>(text->data()) + raw.st_name;
    Symbol symbol;
    symbol.name.assign(name, strnlen(name, text->size() - raw.st_name));
    if (symbol.name.empty()) continue;
    symbol.offset = raw.st_value;
    symbol.size = raw.st_size;
    symbol.binding = ELF64_ST_BIND(raw.st_info);
    symbol.ifunc = ELF64_ST_TYPE(raw.st_info) == STT_GNU_IFUNC;
    symbol.exported = section.sh_type == SHT_DYNSYM;
    symbols.push_back(std::move(symbol));
  }
}

void ReadTables(const ElfFile& file, Module& module, std::vector<Symbol>& symbols) {
  for (const Elf64_Shdr& section : file.sections()) {
    if (section.sh_type != SHT_SYMTAB && section.sh_type != SHT_DYNSYM) continue;
    module.has_symtab |= section.sh_type == SHT_SYMTAB;
    ReadTable(file, section, module, symbols);
  }
}

// `group` has at least one symbol, all of one address, best name first.
Function Merge(absl::Span<const Symbol> group, const Module& module) {
  Function function;
  function.offset = group[0].offset;
  function.symbol = group[0].name;
  function.name = Demangle(function.symbol);
  function.short_name = ShortName(function.name);
  for (const Symbol& symbol : group) {
    function.size = std::max(function.size, symbol.size);
    function.exported |= symbol.exported;
    if (symbol.ifunc) function.kind = Kind::kIfunc;
    if (function.kind == Kind::kFunction) {
      function.kind = KindOfSymbol(symbol.name);
    }
    const std::string& last = function.aliases.empty() ? function.symbol : function.aliases.back();
    if (symbol.name != last) function.aliases.push_back(symbol.name);
  }
  if (module.is_program && function.offset == module.entry && function.kind == Kind::kFunction) {
    function.kind = Kind::kProgramEntry;
  }
  return function;
}

const CodeRange* RangeAt(const Module& module, uint64_t offset) {
  auto found =
      std::lower_bound(module.code_ranges.begin(), module.code_ranges.end(), offset,
                       [](const CodeRange& range, uint64_t at) { return range.offset < at; });
  if (found == module.code_ranges.end() || found->offset != offset) {
    return nullptr;
  }
  return &*found;
}

// Sizes are cut at the end of the segment's content, so that a Function always
// lies inside one.
void BoundSizes(Module& module) {
  for (size_t i = 0; i < module.functions.size(); ++i) {
    Function& function = module.functions[i];
    const uint64_t available = module.BytesAt(function.offset).size();
    if (function.size == 0) {
      function.size_inferred = true;
      function.size = available;
      if (i + 1 < module.functions.size()) {
        function.size = module.functions[i + 1].offset - function.offset;
      }
      if (const CodeRange* range = RangeAt(module, function.offset)) {
        function.size = range->size;
      }
    }
    function.size = std::min(function.size, available);
  }
}

// gcc starts the cold part of a function with a nop when an exception landing
// pad comes first: landing pads must not be at offset 0.
bool StartsWithSingleNop(const Module& module, uint64_t offset) {
  constexpr uint8_t kNop = 0x90;
  const auto bytes = module.BytesAt(offset);
  return bytes.size() >= 2 && bytes[0] == kNop && bytes[1] != kNop;
}

// Linkers give code sections an entry size when they are made of equal stubs: .plt, .plt.got and
// .plt.sec. Those of .plt.got start like a function and have unwind information.
bool IsLinkageStub(const ElfFile& file, uint64_t offset) {
  return std::any_of(file.sections().begin(), file.sections().end(), [&](const Elf64_Shdr& s) {
    return (s.sh_flags & SHF_EXECINSTR) != 0 && s.sh_entsize != 0 && offset >= s.sh_addr &&
           offset - s.sh_addr < s.sh_size;
  });
}

// Adds the code ranges that no function covers. Ranges that are not function
// entries (cold fragments, the PLT) are left out.
void AddNamelessFunctions(const ElfFile& file, Module& module) {
  std::vector<Function> named = std::move(module.functions);
  module.functions.clear();
  size_t next = 0;
  uint64_t covered = 0;
  for (const CodeRange& range : module.code_ranges) {
    while (next < named.size() && named[next].offset <= range.offset) {
      const uint64_t size = std::max<uint64_t>(named[next].size, 1);
      covered = std::max(covered, named[next].offset + size);
      module.functions.push_back(std::move(named[next++]));
    }
    if (range.offset < covered) continue;
    const Segment* segment = module.SegmentAt(range.offset);
    if (segment == nullptr || !segment->executable) continue;
    const bool entry = module.is_program && range.offset == module.entry;
    if (!range.starts_at_call && !entry) continue;
    if (StartsWithSingleNop(module, range.offset)) continue;
    if (IsLinkageStub(file, range.offset)) continue;
    Function function;
    function.offset = range.offset;
    function.size = range.size;
    function.name = absl::StrCat("sub_", absl::Hex(range.offset));
    function.short_name = function.name;
    if (entry) function.kind = Kind::kProgramEntry;
    module.functions.push_back(std::move(function));
  }
  std::move(named.begin() + static_cast<ptrdiff_t>(next), named.end(),
            std::back_inserter(module.functions));
}

}  // namespace

void ReadFunctions(const ElfFile& file, const ElfFile* debug, Module& module) {
  std::vector<Symbol> symbols;
  ReadTables(file, module, symbols);
  if (debug != nullptr) ReadTables(*debug, module, symbols);
  std::sort(symbols.begin(), symbols.end(), [](const Symbol& a, const Symbol& b) {
    if (a.offset != b.offset) return a.offset < b.offset;
    return NameRank(a) < NameRank(b);
  });
  for (size_t begin = 0; begin < symbols.size();) {
    size_t end = begin;
    while (end < symbols.size() && symbols[end].offset == symbols[begin].offset) {
      ++end;
    }
    module.functions.push_back(
        Merge(absl::MakeConstSpan(symbols).subspan(begin, end - begin), module));
    begin = end;
  }
  // The C library can be executed too, but its soname says what it is.
  const bool stripped_program = module.is_program && !module.has_symtab && module.soname.empty();
  if (module.functions.empty() || stripped_program) {
    AddNamelessFunctions(file, module);
  }
  BoundSizes(module);
}

}  // namespace flightrec::symbols
