// Attribute values of DWARF 2 to 5 in their various forms: reads a number,
// skips what is not one. Stateless, thread-safe. Takes any bytes; an unknown
// form fails the cursor, because its length is not known.

#ifndef SERVICES_TRACER_SYMBOLS_DWARF_FORM_H_
#define SERVICES_TRACER_SYMBOLS_DWARF_FORM_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "services/tracer/symbols/byte_cursor.h"
#include "services/tracer/symbols/elf_section.h"

namespace flightrec::symbols {

// Sections of text that values refer to; nullptr when the file has none.
struct DwarfText {
  const ElfSection* line_strings = nullptr;  // .debug_line_str
  const ElfSection* strings = nullptr;       // .debug_str
};

struct DwarfValue {
  uint64_t form = 0;
  uint64_t number = 0;     // the value, or an offset in another section
  absl::string_view text;  // of text inside of the unit; refers to its bytes
};

// `is_64bit`: offsets have 8 bytes.
DwarfValue ReadDwarfForm(uint64_t form, bool is_64bit, ByteCursor& cursor);

// The text that a value of a text form means; empty for other forms.
std::string TextOf(const DwarfValue& value, const DwarfText& sections);

}  // namespace flightrec::symbols

#endif  // SERVICES_TRACER_SYMBOLS_DWARF_FORM_H_
