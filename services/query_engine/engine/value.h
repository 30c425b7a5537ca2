// One value of an answer, and how it is read out of a DuckDB vector.
//
// Values are plain data. ReadValue is a pure function of the vector. 64-bit
// unsigned integers keep their range; every type without a place of its own
// (HUGEINT, DECIMAL, times, lists, ...) becomes the text the engine writes.
#ifndef SERVICES_QUERY_ENGINE_ENGINE_VALUE_H_
#define SERVICES_QUERY_ENGINE_ENGINE_VALUE_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "duckdb.h"

namespace flightrec::query_engine {

struct Blob {
  std::string bytes;
  bool operator==(const Blob&) const = default;
};

// monostate is NULL.
using Value = std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string, Blob>;
using Row = std::vector<Value>;

// `type` is the vector's logical type; `row` counts from 0.
Value ReadValue(duckdb_vector vector, duckdb_logical_type type, idx_t row);

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_ENGINE_VALUE_H_
