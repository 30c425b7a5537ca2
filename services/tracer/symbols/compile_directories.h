// Where the compiler ran for each unit of a file: before DWARF 5 the line table
// has paths relative to a directory that is in .debug_info only. Reads the first
// entry of each unit and nothing else. Stateless, thread-safe. Takes any bytes:
// the directory of a damaged unit is not known.

#ifndef SERVICES_TRACER_SYMBOLS_COMPILE_DIRECTORIES_H_
#define SERVICES_TRACER_SYMBOLS_COMPILE_DIRECTORIES_H_

#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "services/tracer/symbols/dwarf_form.h"
#include "services/tracer/symbols/elf_file.h"

namespace flightrec::symbols {

// By the offset of the unit's lines in .debug_line.
using CompileDirectories = absl::flat_hash_map<uint64_t, std::string>;

CompileDirectories ReadCompileDirectories(const ElfFile& file, const DwarfText& text);

}  // namespace flightrec::symbols

#endif  // SERVICES_TRACER_SYMBOLS_COMPILE_DIRECTORIES_H_
