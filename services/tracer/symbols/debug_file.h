// Finds the separate debug file of a stripped program or library: its symbols
// and lines, as a package of debug symbols installs them. Stateless,
// thread-safe. Downloads nothing.

#ifndef SERVICES_TRACER_SYMBOLS_DEBUG_FILE_H_
#define SERVICES_TRACER_SYMBOLS_DEBUG_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "services/tracer/symbols/elf_file.h"

namespace flightrec::symbols {

// Roots of debug files, searched in order.
using DebugDirectories = std::vector<std::string>;

// "/usr/lib/debug".
const DebugDirectories& SystemDebugDirectories();

// The first of these that belongs to `file`; none when the file has symbols and
// lines of its own:
//
//   DIRECTORY/.build-id/xx/rest.debug       by the build id
//   NAME, .debug/NAME beside the file       by the section .gnu_debuglink,
//   DIRECTORY/folder of the file/NAME       which names it
//
// A file belongs when its build id is the same; when one of the two has none,
// by the checksum of .gnu_debuglink. One that is there and does not belong, or
// cannot be read, is told in `notes`.
absl::optional<ElfFile> FindDebugFile(const ElfFile& file, absl::Span<const uint8_t> build_id,
                                      const DebugDirectories& directories,
                                      std::vector<std::string>& notes);

}  // namespace flightrec::symbols

#endif  // SERVICES_TRACER_SYMBOLS_DEBUG_FILE_H_
