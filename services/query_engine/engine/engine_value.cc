#include "services/query_engine/engine/engine_value.h"

#include <cstdint>
#include <vector>

#include "services/query_engine/engine/logical_type.h"

namespace flightrec::query_engine {
namespace {

// Owns a duckdb_value.
class EngineValue {
 public:
  explicit EngineValue(duckdb_value value) : value_(value) {}
  EngineValue(EngineValue&& other) noexcept : value_(other.value_) { other.value_ = nullptr; }
  ~EngineValue() {
    if (value_ != nullptr) duckdb_destroy_value(&value_);
  }
  duckdb_value get() const { return value_; }

 private:
  duckdb_value value_;
};

EngineValue Make(duckdb_vector vector, duckdb_logical_type type, idx_t row);

template <typename T>
T Read(duckdb_vector vector, idx_t row) {
  return static_cast<const T*>(duckdb_vector_get_data(vector))[row];
}

duckdb_value Text(const std::string& text) {
  return duckdb_create_varchar_length(text.data(), text.size());
}

duckdb_hugeint SignExtended(int64_t value) {
  return {.lower = static_cast<uint64_t>(value), .upper = value < 0 ? -1 : 0};
}

duckdb_value MakeDecimal(duckdb_vector vector, duckdb_logical_type type, idx_t row) {
  duckdb_decimal decimal{
      .width = duckdb_decimal_width(type), .scale = duckdb_decimal_scale(type), .value = {}};
  switch (duckdb_decimal_internal_type(type)) {
    case DUCKDB_TYPE_SMALLINT:
      decimal.value = SignExtended(Read<int16_t>(vector, row));
      break;
    case DUCKDB_TYPE_INTEGER:
      decimal.value = SignExtended(Read<int32_t>(vector, row));
      break;
    case DUCKDB_TYPE_BIGINT:
      decimal.value = SignExtended(Read<int64_t>(vector, row));
      break;
    default:
      decimal.value = Read<duckdb_hugeint>(vector, row);
  }
  return duckdb_create_decimal(decimal);
}

uint64_t EnumIndex(duckdb_vector vector, duckdb_logical_type type, idx_t row) {
  switch (duckdb_enum_internal_type(type)) {
    case DUCKDB_TYPE_UTINYINT:
      return Read<uint8_t>(vector, row);
    case DUCKDB_TYPE_USMALLINT:
      return Read<uint16_t>(vector, row);
    default:
      return Read<uint32_t>(vector, row);
  }
}

duckdb_value MakeUuid(duckdb_vector vector, idx_t row) {
  const auto raw = Read<duckdb_hugeint>(vector, row);
  // Vectors hold UUIDs with the top bit flipped so that they sort as signed.
  return duckdb_create_uuid(
      {.lower = raw.lower, .upper = static_cast<uint64_t>(raw.upper) ^ (uint64_t{1} << 63)});
}

std::vector<EngineValue> MakeRange(duckdb_vector vector, duckdb_logical_type type, idx_t begin,
                                   idx_t count) {
  std::vector<EngineValue> values;
  values.reserve(count);
  for (idx_t i = 0; i < count; ++i) values.push_back(Make(vector, type, begin + i));
  return values;
}

std::vector<duckdb_value> Pointers(const std::vector<EngineValue>& values) {
  std::vector<duckdb_value> pointers;
  pointers.reserve(values.size() + 1);
  for (const EngineValue& value : values) pointers.push_back(value.get());
  pointers.push_back(nullptr);  // data() is not null for an empty list
  return pointers;
}

duckdb_value MakeStruct(duckdb_vector vector, duckdb_logical_type type, idx_t row) {
  std::vector<EngineValue> fields;
  const idx_t count = duckdb_struct_type_child_count(type);
  for (idx_t i = 0; i < count; ++i) {
    const LogicalType child(duckdb_struct_type_child_type(type, i));
    fields.push_back(Make(duckdb_struct_vector_get_child(vector, i), child.get(), row));
  }
  return duckdb_create_struct_value(type, Pointers(fields).data());
}

duckdb_value MakeList(duckdb_vector vector, duckdb_logical_type type, idx_t row) {
  const auto entry = Read<duckdb_list_entry>(vector, row);
  const LogicalType child(duckdb_list_type_child_type(type));
  const auto values =
      MakeRange(duckdb_list_vector_get_child(vector), child.get(), entry.offset, entry.length);
  return duckdb_create_list_value(child.get(), Pointers(values).data(), entry.length);
}

duckdb_value MakeArray(duckdb_vector vector, duckdb_logical_type type, idx_t row) {
  const idx_t size = duckdb_array_type_array_size(type);
  const LogicalType child(duckdb_array_type_child_type(type));
  const auto values =
      MakeRange(duckdb_array_vector_get_child(vector), child.get(), row * size, size);
  return duckdb_create_array_value(child.get(), Pointers(values).data(), size);
}

duckdb_value MakeMap(duckdb_vector vector, duckdb_logical_type type, idx_t row) {
  // A map is a list of structs of key and value.
  const auto entry = Read<duckdb_list_entry>(vector, row);
  const duckdb_vector entries = duckdb_list_vector_get_child(vector);
  const LogicalType key_type(duckdb_map_type_key_type(type));
  const LogicalType value_type(duckdb_map_type_value_type(type));
  const auto keys = MakeRange(duckdb_struct_vector_get_child(entries, 0), key_type.get(),
                              entry.offset, entry.length);
  const auto values = MakeRange(duckdb_struct_vector_get_child(entries, 1), value_type.get(),
                                entry.offset, entry.length);
  return duckdb_create_map_value(type, Pointers(keys).data(), Pointers(values).data(),
                                 entry.length);
}

duckdb_value MakeNumberOrTime(duckdb_vector vector, duckdb_logical_type type, idx_t row) {
  switch (duckdb_get_type_id(type)) {
    case DUCKDB_TYPE_BOOLEAN:
      return duckdb_create_bool(Read<bool>(vector, row));
    case DUCKDB_TYPE_TINYINT:
      return duckdb_create_int8(Read<int8_t>(vector, row));
    case DUCKDB_TYPE_SMALLINT:
      return duckdb_create_int16(Read<int16_t>(vector, row));
    case DUCKDB_TYPE_INTEGER:
      return duckdb_create_int32(Read<int32_t>(vector, row));
    case DUCKDB_TYPE_BIGINT:
      return duckdb_create_int64(Read<int64_t>(vector, row));
    case DUCKDB_TYPE_UTINYINT:
      return duckdb_create_uint8(Read<uint8_t>(vector, row));
    case DUCKDB_TYPE_USMALLINT:
      return duckdb_create_uint16(Read<uint16_t>(vector, row));
    case DUCKDB_TYPE_UINTEGER:
      return duckdb_create_uint32(Read<uint32_t>(vector, row));
    case DUCKDB_TYPE_UBIGINT:
      return duckdb_create_uint64(Read<uint64_t>(vector, row));
    case DUCKDB_TYPE_FLOAT:
      return duckdb_create_float(Read<float>(vector, row));
    case DUCKDB_TYPE_DOUBLE:
      return duckdb_create_double(Read<double>(vector, row));
    case DUCKDB_TYPE_DATE:
      return duckdb_create_date(Read<duckdb_date>(vector, row));
    case DUCKDB_TYPE_TIME:
      return duckdb_create_time(Read<duckdb_time>(vector, row));
    case DUCKDB_TYPE_TIME_TZ:
      return duckdb_create_time_tz_value(Read<duckdb_time_tz>(vector, row));
    case DUCKDB_TYPE_TIMESTAMP:
      return duckdb_create_timestamp(Read<duckdb_timestamp>(vector, row));
    case DUCKDB_TYPE_TIMESTAMP_TZ:
      return duckdb_create_timestamp_tz(Read<duckdb_timestamp>(vector, row));
    case DUCKDB_TYPE_TIMESTAMP_S:
      return duckdb_create_timestamp_s(Read<duckdb_timestamp_s>(vector, row));
    case DUCKDB_TYPE_TIMESTAMP_MS:
      return duckdb_create_timestamp_ms(Read<duckdb_timestamp_ms>(vector, row));
    case DUCKDB_TYPE_TIMESTAMP_NS:
      return duckdb_create_timestamp_ns(Read<duckdb_timestamp_ns>(vector, row));
    case DUCKDB_TYPE_INTERVAL:
      return duckdb_create_interval(Read<duckdb_interval>(vector, row));
    default:
      return nullptr;
  }
}

EngineValue Make(duckdb_vector vector, duckdb_logical_type type, idx_t row) {
  uint64_t* validity = duckdb_vector_get_validity(vector);
  if (validity != nullptr && !duckdb_validity_row_is_valid(validity, row)) {
    return EngineValue(duckdb_create_null_value());
  }
  if (duckdb_value value = MakeNumberOrTime(vector, type, row)) return EngineValue(value);
  switch (duckdb_get_type_id(type)) {
    case DUCKDB_TYPE_HUGEINT:
      return EngineValue(duckdb_create_hugeint(Read<duckdb_hugeint>(vector, row)));
    case DUCKDB_TYPE_UHUGEINT:
      return EngineValue(duckdb_create_uhugeint(Read<duckdb_uhugeint>(vector, row)));
    case DUCKDB_TYPE_DECIMAL:
      return EngineValue(MakeDecimal(vector, type, row));
    case DUCKDB_TYPE_UUID:
      return EngineValue(MakeUuid(vector, row));
    case DUCKDB_TYPE_ENUM:
      return EngineValue(duckdb_create_enum_value(type, EnumIndex(vector, type, row)));
    case DUCKDB_TYPE_STRUCT:
      return EngineValue(MakeStruct(vector, type, row));
    case DUCKDB_TYPE_LIST:
      return EngineValue(MakeList(vector, type, row));
    case DUCKDB_TYPE_ARRAY:
      return EngineValue(MakeArray(vector, type, row));
    case DUCKDB_TYPE_MAP:
      return EngineValue(MakeMap(vector, type, row));
    case DUCKDB_TYPE_VARCHAR:
    case DUCKDB_TYPE_BLOB: {
      duckdb_string_t bytes = Read<duckdb_string_t>(vector, row);
      return EngineValue(
          Text(std::string(duckdb_string_t_data(&bytes), duckdb_string_t_length(bytes))));
    }
    default:
      return EngineValue(Text("(" + TypeName(type) + ": cast it to VARCHAR)"));
  }
}

}  // namespace

std::string EngineText(duckdb_vector vector, duckdb_logical_type type, idx_t row) {
  const EngineValue value = Make(vector, type, row);
  char* raw = value.get() == nullptr ? nullptr : duckdb_get_varchar(value.get());
  if (raw == nullptr) return "(" + TypeName(type) + ": cast it to VARCHAR)";
  std::string text(raw);
  duckdb_free(raw);
  return text;
}

}  // namespace flightrec::query_engine
