// Runs the line number program of one DWARF unit (versions 2 to 5), which says
// from which source line each instruction was made. Stateless, thread-safe.
// Takes any bytes: damage ends the unit, time is linear in its size.

#ifndef SERVICES_TRACER_SYMBOLS_LINE_PROGRAM_H_
#define SERVICES_TRACER_SYMBOLS_LINE_PROGRAM_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace flightrec::symbols {

// What is at the start of a unit of .debug_line.
struct LineHeader {
  uint16_t version = 0;
  bool is_64bit = false;  // offsets have 8 bytes
  uint8_t minimum_instruction_length = 1;
  int8_t line_base = 0;
  uint8_t line_range = 0;
  uint8_t opcode_base = 0;
  std::vector<uint8_t> operand_counts;  // of the standard opcodes, from 1
  size_t tables = 0;                    // directories and files, from the unit's first byte
  size_t program = 0;                   // likewise; the tables end here at the latest
};

// `unit`: from the unit's length on, to its end. False: not a unit we can read.
bool ReadLineHeader(absl::Span<const uint8_t> unit, LineHeader& header);

// One function entry whose source line is wanted.
struct EntryLine {
  uint64_t offset = 0;  // vaddr
  uint64_t size = 0;
  // Filled by RunLineProgram; file is the unit's own number.
  bool found = false;
  uint32_t file = 0;
  uint32_t line = 0;
};

// Gives entries (sorted by offset) that are not found yet the first line inside
// of them. Returns the indices of those.
std::vector<size_t> RunLineProgram(absl::Span<const uint8_t> unit, const LineHeader& header,
                                   absl::Span<EntryLine> entries);

}  // namespace flightrec::symbols

#endif  // SERVICES_TRACER_SYMBOLS_LINE_PROGRAM_H_
