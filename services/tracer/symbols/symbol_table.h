// Turns the symbol tables of a file into functions. Pure functions over what
// was read, thread-safe. Damaged tables give fewer functions, never an error:
// symbols are not needed to run a program.

#ifndef SERVICES_TRACER_SYMBOLS_SYMBOL_TABLE_H_
#define SERVICES_TRACER_SYMBOLS_SYMBOL_TABLE_H_

#include "services/tracer/symbols/elf_file.h"
#include "services/tracer/symbols/module.h"

namespace flightrec::symbols {

// Fills functions and has_symtab. Needs the other members of module. `debug`:
// the separate debug file, or nullptr.
void ReadFunctions(const ElfFile& file, const ElfFile* debug, Module& module);

}  // namespace flightrec::symbols

#endif  // SERVICES_TRACER_SYMBOLS_SYMBOL_TABLE_H_
