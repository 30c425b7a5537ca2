// Whether a file holds the Go runtime, which moves stacks, also when it was stripped.
// Thread-safe (no state).

#ifndef SERVICES_TRACER_SYMBOLS_GO_RUNTIME_H_
#define SERVICES_TRACER_SYMBOLS_GO_RUNTIME_H_

#include "services/tracer/symbols/elf_file.h"

namespace flightrec::symbols {

// By its sections, its notes, or, in a file without sections, by what its data starts with.
bool HasGoRuntime(const ElfFile& file);

}  // namespace flightrec::symbols

#endif  // SERVICES_TRACER_SYMBOLS_GO_RUNTIME_H_
