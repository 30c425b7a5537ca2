#include "services/query_engine/engine/logical_type.h"

#include "absl/strings/str_cat.h"

namespace flightrec::query_engine {
namespace {

// Empty for types with parameters.
absl::string_view PlainName(duckdb_type id) {
  switch (id) {
    case DUCKDB_TYPE_BOOLEAN:
      return "BOOLEAN";
    case DUCKDB_TYPE_TINYINT:
      return "TINYINT";
    case DUCKDB_TYPE_SMALLINT:
      return "SMALLINT";
    case DUCKDB_TYPE_INTEGER:
      return "INTEGER";
    case DUCKDB_TYPE_BIGINT:
      return "BIGINT";
    case DUCKDB_TYPE_HUGEINT:
      return "HUGEINT";
    case DUCKDB_TYPE_UTINYINT:
      return "UTINYINT";
    case DUCKDB_TYPE_USMALLINT:
      return "USMALLINT";
    case DUCKDB_TYPE_UINTEGER:
      return "UINTEGER";
    case DUCKDB_TYPE_UBIGINT:
      return "UBIGINT";
    case DUCKDB_TYPE_UHUGEINT:
      return "UHUGEINT";
    case DUCKDB_TYPE_FLOAT:
      return "FLOAT";
    case DUCKDB_TYPE_DOUBLE:
      return "DOUBLE";
    case DUCKDB_TYPE_VARCHAR:
      return "VARCHAR";
    case DUCKDB_TYPE_BLOB:
      return "BLOB";
    case DUCKDB_TYPE_DATE:
      return "DATE";
    case DUCKDB_TYPE_TIME:
      return "TIME";
    case DUCKDB_TYPE_TIME_TZ:
      return "TIME WITH TIME ZONE";
    case DUCKDB_TYPE_TIMESTAMP:
      return "TIMESTAMP";
    case DUCKDB_TYPE_TIMESTAMP_S:
      return "TIMESTAMP_S";
    case DUCKDB_TYPE_TIMESTAMP_MS:
      return "TIMESTAMP_MS";
    case DUCKDB_TYPE_TIMESTAMP_NS:
      return "TIMESTAMP_NS";
    case DUCKDB_TYPE_TIMESTAMP_TZ:
      return "TIMESTAMP WITH TIME ZONE";
    case DUCKDB_TYPE_INTERVAL:
      return "INTERVAL";
    case DUCKDB_TYPE_UUID:
      return "UUID";
    case DUCKDB_TYPE_BIT:
      return "BIT";
    case DUCKDB_TYPE_ENUM:
      return "ENUM";
    case DUCKDB_TYPE_UNION:
      return "UNION";
    case DUCKDB_TYPE_BIGNUM:
      return "BIGNUM";
    case DUCKDB_TYPE_SQLNULL:
      return "\"NULL\"";
    default:
      return "";
  }
}

std::string StructName(duckdb_logical_type type) {
  std::string name = "STRUCT(";
  const idx_t count = duckdb_struct_type_child_count(type);
  for (idx_t i = 0; i < count; ++i) {
    const LogicalType child(duckdb_struct_type_child_type(type, i));
    char* field = duckdb_struct_type_child_name(type, i);
    absl::StrAppend(&name, i == 0 ? "" : ", ", field, " ", TypeName(child.get()));
    duckdb_free(field);
  }
  return name + ")";
}

}  // namespace

std::string TypeName(duckdb_logical_type type) {
  const duckdb_type id = duckdb_get_type_id(type);
  switch (id) {
    case DUCKDB_TYPE_DECIMAL:
      return absl::StrCat("DECIMAL(", duckdb_decimal_width(type), ",", duckdb_decimal_scale(type),
                          ")");
    case DUCKDB_TYPE_LIST:
      return TypeName(LogicalType(duckdb_list_type_child_type(type)).get()) + "[]";
    case DUCKDB_TYPE_ARRAY:
      return absl::StrCat(TypeName(LogicalType(duckdb_array_type_child_type(type)).get()), "[",
                          duckdb_array_type_array_size(type), "]");
    case DUCKDB_TYPE_MAP:
      return absl::StrCat("MAP(", TypeName(LogicalType(duckdb_map_type_key_type(type)).get()), ", ",
                          TypeName(LogicalType(duckdb_map_type_value_type(type)).get()), ")");
    case DUCKDB_TYPE_STRUCT:
      return StructName(type);
    default:
      const absl::string_view name = PlainName(id);
      return name.empty() ? absl::StrCat("type ", static_cast<int>(id)) : std::string(name);
  }
}

}  // namespace flightrec::query_engine
