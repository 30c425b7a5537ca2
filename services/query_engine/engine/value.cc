#include "services/query_engine/engine/value.h"

#include "services/query_engine/engine/engine_value.h"

namespace flightrec::query_engine {
namespace {

template <typename T>
T Read(duckdb_vector vector, idx_t row) {
  return static_cast<const T*>(duckdb_vector_get_data(vector))[row];
}

std::string ReadString(duckdb_vector vector, idx_t row) {
  duckdb_string_t text = Read<duckdb_string_t>(vector, row);
  return std::string(duckdb_string_t_data(&text), duckdb_string_t_length(text));
}

bool IsNull(duckdb_vector vector, idx_t row) {
  uint64_t* validity = duckdb_vector_get_validity(vector);
  return validity != nullptr && !duckdb_validity_row_is_valid(validity, row);
}

}  // namespace

Value ReadValue(duckdb_vector vector, duckdb_logical_type type, idx_t row) {
  if (IsNull(vector, row)) return std::monostate();
  switch (duckdb_get_type_id(type)) {
    case DUCKDB_TYPE_SQLNULL:
      return std::monostate();
    case DUCKDB_TYPE_BOOLEAN:
      return Read<bool>(vector, row);
    case DUCKDB_TYPE_TINYINT:
      return int64_t{Read<int8_t>(vector, row)};
    case DUCKDB_TYPE_SMALLINT:
      return int64_t{Read<int16_t>(vector, row)};
    case DUCKDB_TYPE_INTEGER:
      return int64_t{Read<int32_t>(vector, row)};
    case DUCKDB_TYPE_BIGINT:
      return Read<int64_t>(vector, row);
    case DUCKDB_TYPE_UTINYINT:
      return uint64_t{Read<uint8_t>(vector, row)};
    case DUCKDB_TYPE_USMALLINT:
      return uint64_t{Read<uint16_t>(vector, row)};
    case DUCKDB_TYPE_UINTEGER:
      return uint64_t{Read<uint32_t>(vector, row)};
    case DUCKDB_TYPE_UBIGINT:
      return Read<uint64_t>(vector, row);
    case DUCKDB_TYPE_FLOAT:
      return double{Read<float>(vector, row)};
    case DUCKDB_TYPE_DOUBLE:
      return Read<double>(vector, row);
    case DUCKDB_TYPE_VARCHAR:
      return ReadString(vector, row);
    case DUCKDB_TYPE_BLOB:
      return Blob{ReadString(vector, row)};
    default:
      return EngineText(vector, type, row);
  }
}

}  // namespace flightrec::query_engine
