// Reads one ELF64 x86-64 file into a Module. Thread-safe (no state). Every
// offset of the file is checked against its size, so a damaged or hostile file
// gives a Status, never a crash.

#ifndef SERVICES_TRACER_SYMBOLS_MODULE_READER_H_
#define SERVICES_TRACER_SYMBOLS_MODULE_READER_H_

#include <string>

#include "absl/status/statusor.h"
#include "services/tracer/symbols/debug_file.h"
#include "services/tracer/symbols/module.h"

namespace flightrec::symbols {

// NOT_FOUND: no such file. PERMISSION_DENIED: not readable.
// INVALID_ARGUMENT: not an ELF file, or its structure is damaged.
// FAILED_PRECONDITION: an ELF file of another class or machine.
//
// Functions come from .symtab and .dynsym of the file and of the separate debug
// file that belongs to it (symbols/debug_file.h), which also gives them lines; a
// damaged debug file is left out and noted. Aliases of one address are merged.
// A program without .symtab, and any file without a function symbol, also gets
// the remaining function starts of .eh_frame as nameless functions.
absl::StatusOr<Module> ReadModule(const std::string& path,
                                  const DebugDirectories& directories = SystemDebugDirectories());

}  // namespace flightrec::symbols

#endif  // SERVICES_TRACER_SYMBOLS_MODULE_READER_H_
