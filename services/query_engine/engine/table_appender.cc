#include "services/query_engine/engine/table_appender.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "services/query_engine/engine/engine_error.h"

namespace flightrec::query_engine {

absl::StatusOr<std::unique_ptr<TableAppender>> TableAppender::Open(Connection& connection,
                                                                   const std::string& schema,
                                                                   const std::string& table) {
  duckdb_appender appender = nullptr;
  if (duckdb_appender_create(connection.get(), schema.c_str(), table.c_str(), &appender) !=
      DuckDBSuccess) {
    duckdb_appender_destroy(&appender);
    return absl::InternalError(absl::StrCat("cannot append to ", schema, ".", table));
  }
  std::vector<LogicalType> types;
  const idx_t columns = duckdb_appender_column_count(appender);
  for (idx_t i = 0; i < columns; ++i) types.emplace_back(duckdb_appender_column_type(appender, i));
  return std::unique_ptr<TableAppender>(new TableAppender(appender, std::move(types)));
}

TableAppender::TableAppender(duckdb_appender appender, std::vector<LogicalType> types)
    : appender_(appender), types_(std::move(types)), capacity_(duckdb_vector_size()) {
  std::vector<duckdb_logical_type> raw;
  for (const LogicalType& type : types_) raw.push_back(type.get());
  chunk_ = duckdb_create_data_chunk(raw.data(), raw.size());
  LookUpVectors();
}

TableAppender::~TableAppender() {
  duckdb_destroy_data_chunk(&chunk_);
  duckdb_appender_destroy(&appender_);
}

void TableAppender::LookUpVectors() {
  data_.clear();
  for (idx_t i = 0; i < types_.size(); ++i) {
    data_.push_back(duckdb_vector_get_data(duckdb_data_chunk_get_vector(chunk_, i)));
  }
}

void TableAppender::SetText(int column, absl::string_view text) {
  duckdb_vector_assign_string_element_len(duckdb_data_chunk_get_vector(chunk_, column), row_,
                                          text.data(), text.size());
}

void TableAppender::SetNull(int column) {
  duckdb_vector vector = duckdb_data_chunk_get_vector(chunk_, column);
  duckdb_vector_ensure_validity_writable(vector);
  duckdb_validity_set_row_invalid(duckdb_vector_get_validity(vector), row_);
}

absl::Status TableAppender::Error() {
  duckdb_error_data data = duckdb_appender_error_data(appender_);
  absl::Status status =
      EngineError(duckdb_error_data_error_type(data), duckdb_error_data_message(data));
  duckdb_destroy_error_data(&data);
  return status;
}

absl::Status TableAppender::Flush() {
  if (row_ == 0) return absl::OkStatus();
  duckdb_data_chunk_set_size(chunk_, row_);
  if (duckdb_append_data_chunk(appender_, chunk_) != DuckDBSuccess) return Error();
  duckdb_data_chunk_reset(chunk_);
  LookUpVectors();
  row_ = 0;
  return absl::OkStatus();
}

absl::Status TableAppender::Close() {
  if (absl::Status status = Flush(); !status.ok()) return status;
  return duckdb_appender_flush(appender_) == DuckDBSuccess ? absl::OkStatus() : Error();
}

}  // namespace flightrec::query_engine
