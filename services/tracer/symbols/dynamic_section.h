// Reads what a module's dynamic section says: its soname, the pointers into its
// own code that the loader will relocate, and where profilers are called from. Pure functions,
// thread-safe; damaged tables give fewer results.

#ifndef SERVICES_TRACER_SYMBOLS_DYNAMIC_SECTION_H_
#define SERVICES_TRACER_SYMBOLS_DYNAMIC_SECTION_H_

#include <cstdint>

#include "services/tracer/symbols/module.h"

namespace flightrec::symbols {

// `vaddr` is PT_DYNAMIC's. Fills soname, code_pointers,
// profiler_slots and, for a position independent program, is_program; needs
// segments.
void ReadDynamicSection(uint64_t vaddr, Module& module);

}  // namespace flightrec::symbols

#endif  // SERVICES_TRACER_SYMBOLS_DYNAMIC_SECTION_H_
