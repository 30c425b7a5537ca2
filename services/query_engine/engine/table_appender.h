// Fills a table column by column, a vector of rows at a time.
//
// For one thread. The caller knows the table: a value of another width than
// the column's is a bug that is not detected.
#ifndef SERVICES_QUERY_ENGINE_ENGINE_TABLE_APPENDER_H_
#define SERVICES_QUERY_ENGINE_ENGINE_TABLE_APPENDER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "duckdb.h"
#include "services/query_engine/engine/database.h"
#include "services/query_engine/engine/logical_type.h"

namespace flightrec::query_engine {

class TableAppender {
 public:
  // `connection` outlives the appender.
  static absl::StatusOr<std::unique_ptr<TableAppender>> Open(Connection& connection,
                                                             const std::string& schema,
                                                             const std::string& table);
  // Rows after the last Close are lost.
  ~TableAppender();
  TableAppender(const TableAppender&) = delete;
  TableAppender& operator=(const TableAppender&) = delete;

  // Every column of a row is set before EndRow.
  template <typename T>
  void Set(int column, T value) {
    static_cast<T*>(data_[column])[row_] = value;
  }
  void SetText(int column, absl::string_view text);
  void SetNull(int column);
  absl::Status EndRow() { return ++row_ < capacity_ ? absl::OkStatus() : Flush(); }

  // Makes the rows visible.
  absl::Status Close();

 private:
  TableAppender(duckdb_appender appender, std::vector<LogicalType> types);
  absl::Status Flush();
  void LookUpVectors();
  absl::Status Error();

  duckdb_appender appender_;
  const std::vector<LogicalType> types_;
  duckdb_data_chunk chunk_;
  const idx_t capacity_;
  idx_t row_ = 0;
  std::vector<void*> data_;
};

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_ENGINE_TABLE_APPENDER_H_
