// Rows on their way to a terminal, a pipe or a program. Values, no threads. A table is for people:
// digits are grouped, times get units, columns are aligned. TSV and JSON are for programs: a header
// line or keys, plain digits, nanoseconds.

#ifndef SERVICES_FLIGHTREC_TABLE_H_
#define SERVICES_FLIGHTREC_TABLE_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "services/flightrec/command_line.h"

namespace flightrec::cli {

// A length of time that a person reads with a unit.
struct Nanoseconds {
  uint64_t value = 0;
};

// monostate is NULL.
using Cell =
    std::variant<std::monostate, std::string, int64_t, uint64_t, double, bool, Nanoseconds>;

struct Column {
  // The key in TSV and JSON; names of Nanoseconds columns end in _ns.
  std::string name;
};

struct Table {
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;
};

// Ends with a newline unless the table is empty and the format has nothing to say.
std::string Format(const Table& table, OutputFormat format);

// "1.23 ms": three digits and a unit.
std::string HumanTime(uint64_t nanoseconds);

// A C++ or Rust name that fits a line: where it is long, what stands inside <...> and the arguments
// are left out.
std::string BriefName(const std::string& name);

// "1,234,567".
std::string GroupDigits(uint64_t number);

}  // namespace flightrec::cli

#endif  // SERVICES_FLIGHTREC_TABLE_H_
