// The files that a unit of .debug_line names. Refers to the sections, and
// to the unit's bytes, which must outlive it. Thread-compatible. Takes any bytes: what is damaged
// has no name.

#ifndef SERVICES_TRACER_SYMBOLS_LINE_FILES_H_
#define SERVICES_TRACER_SYMBOLS_LINE_FILES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "services/tracer/symbols/byte_cursor.h"
#include "services/tracer/symbols/dwarf_form.h"
#include "services/tracer/symbols/line_program.h"

namespace flightrec::symbols {

class LineFiles {
 public:
  // More files or directories than this in one unit are taken for damage.
  static constexpr uint64_t kMaxEntries = 1 << 20;

  // `unit` and `header` as of ReadLineHeader.
  LineFiles(absl::Span<const uint8_t> unit, const LineHeader& header, const DwarfText& text);

  // The path of the unit's file `number`: absolute when its directory is, else
  // relative to the directory in which the compiler ran. Empty: no such file.
  std::string Path(uint32_t number) const;

 private:
  struct Entry {
    DwarfValue path;
    uint64_t directory = 0;
  };

  void ReadBefore5(ByteCursor tables);
  void Read5(ByteCursor tables, bool is_64bit);
  static std::vector<Entry> ReadTable(ByteCursor& cursor, bool is_64bit);

  const DwarfText text_;
  std::vector<Entry> directories_;  // 0: where the compiler ran, empty if not known
  std::vector<Entry> files_;        // by number
};

// `path` below `directory` unless it is absolute, without "." and "..".
std::string JoinPath(const std::string& directory, const std::string& path);

}  // namespace flightrec::symbols

#endif  // SERVICES_TRACER_SYMBOLS_LINE_FILES_H_
