// The name that the linker gave to a build: the GNU build id note of an ELF
// file. Stateless, thread-safe.

#ifndef SERVICES_TRACER_SYMBOLS_BUILD_ID_H_
#define SERVICES_TRACER_SYMBOLS_BUILD_ID_H_

#include <cstdint>
#include <vector>

#include "services/tracer/symbols/elf_file.h"

namespace flightrec::symbols {

// Empty when the file has none or its notes are damaged.
std::vector<uint8_t> ReadBuildId(const ElfFile& file);

}  // namespace flightrec::symbols

#endif  // SERVICES_TRACER_SYMBOLS_BUILD_ID_H_
