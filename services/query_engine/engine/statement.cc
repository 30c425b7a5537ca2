#include "services/query_engine/engine/statement.h"

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "services/query_engine/engine/engine_error.h"

namespace flightrec::query_engine {

absl::StatusOr<std::unique_ptr<Statement>> Statement::Prepare(Connection& connection,
                                                              absl::string_view sql) {
  duckdb_extracted_statements extracted;
  const idx_t count =
      duckdb_extract_statements(connection.get(), std::string(sql).c_str(), &extracted);
  const absl::Cleanup destroy = [&extracted] { duckdb_destroy_extracted(&extracted); };
  if (count != 1) {
    const char* error = duckdb_extract_statements_error(extracted);
    if (error != nullptr) return EngineError(error);
    return absl::InvalidArgumentError(
        count == 0 ? "the statement is empty; send one SELECT"
                   : absl::StrCat(count, " statements in one request; send one SELECT"));
  }
  duckdb_prepared_statement prepared = nullptr;
  if (duckdb_prepare_extracted_statement(connection.get(), extracted, 0, &prepared) !=
      DuckDBSuccess) {
    const char* error = duckdb_prepare_error(prepared);
    absl::Status status = EngineError(error == nullptr ? "cannot prepare the statement" : error);
    duckdb_destroy_prepare(&prepared);
    return status;
  }
  return std::unique_ptr<Statement>(new Statement(prepared));
}

Statement::~Statement() {
  if (started_) duckdb_destroy_result(&result_);
  duckdb_destroy_prepare(&prepared_);
}

duckdb_statement_type Statement::type() const { return duckdb_prepared_statement_type(prepared_); }

absl::Status Statement::Bind(idx_t index, const Value& value) {
  duckdb_state state = DuckDBError;
  if (const auto* text = std::get_if<std::string>(&value)) {
    state = duckdb_bind_varchar_length(prepared_, index, text->data(), text->size());
  } else if (const auto* number = std::get_if<int64_t>(&value)) {
    state = duckdb_bind_int64(prepared_, index, *number);
  } else if (const auto* natural = std::get_if<uint64_t>(&value)) {
    state = duckdb_bind_uint64(prepared_, index, *natural);
  }
  if (state == DuckDBSuccess) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("cannot bind parameter $", index));
}

absl::Status Statement::Start(absl::Span<const Value> parameters) {
  if (duckdb_nparams(prepared_) != parameters.size()) {
    return absl::InvalidArgumentError(absl::StrCat("the statement has ", duckdb_nparams(prepared_),
                                                   " parameters, ", parameters.size(),
                                                   " were given; write the values into the text"));
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (absl::Status status = Bind(i + 1, parameters[i]); !status.ok()) return status;
  }
  duckdb_pending_result pending = nullptr;
  const absl::Cleanup destroy = [&pending] { duckdb_destroy_pending(&pending); };
  if (duckdb_pending_prepared_streaming(prepared_, &pending) != DuckDBSuccess) {
    const char* error = duckdb_pending_error(pending);
    return EngineError(error == nullptr ? "cannot start the statement" : error);
  }
  const duckdb_state state = duckdb_execute_pending(pending, &result_);
  started_ = true;
  if (state != DuckDBSuccess) {
    const char* error = duckdb_result_error(&result_);
    return EngineError(duckdb_result_error_type(&result_), error == nullptr ? "no message" : error);
  }
  DescribeColumns();
  return absl::OkStatus();
}

void Statement::DescribeColumns() {
  const idx_t count = duckdb_column_count(&result_);
  for (idx_t i = 0; i < count; ++i) {
    types_.emplace_back(duckdb_column_logical_type(&result_, i));
    columns_.push_back({duckdb_column_name(&result_, i), TypeName(types_.back().get())});
  }
}

absl::StatusOr<std::vector<Row>> Statement::Next() {
  std::vector<Row> rows;
  duckdb_data_chunk chunk = duckdb_fetch_chunk(result_);
  const absl::Cleanup destroy = [&chunk] { duckdb_destroy_data_chunk(&chunk); };
  if (chunk == nullptr) {
    const char* error = duckdb_result_error(&result_);
    if (error != nullptr && *error != '\0') {
      return EngineError(duckdb_result_error_type(&result_), error);
    }
    return rows;
  }
  rows.assign(duckdb_data_chunk_get_size(chunk), Row(columns_.size()));
  for (size_t column = 0; column < columns_.size(); ++column) {
    duckdb_vector vector = duckdb_data_chunk_get_vector(chunk, column);
    for (size_t row = 0; row < rows.size(); ++row) {
      rows[row][column] = ReadValue(vector, types_[column].get(), row);
    }
  }
  return rows;
}

absl::StatusOr<std::vector<Row>> FetchAll(Connection& connection, absl::string_view sql,
                                          absl::Span<const Value> parameters) {
  absl::StatusOr<std::unique_ptr<Statement>> statement = Statement::Prepare(connection, sql);
  if (!statement.ok()) return statement.status();
  if (absl::Status status = (*statement)->Start(parameters); !status.ok()) return status;
  std::vector<Row> all;
  while (true) {
    absl::StatusOr<std::vector<Row>> batch = (*statement)->Next();
    if (!batch.ok()) return batch.status();
    if (batch->empty()) return all;
    std::move(batch->begin(), batch->end(), std::back_inserter(all));
  }
}

}  // namespace flightrec::query_engine
