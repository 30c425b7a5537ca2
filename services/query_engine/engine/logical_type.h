// Types of the engine's columns and their names. LogicalType is an owning
// handle, movable, for one thread at a time.
#ifndef SERVICES_QUERY_ENGINE_ENGINE_LOGICAL_TYPE_H_
#define SERVICES_QUERY_ENGINE_ENGINE_LOGICAL_TYPE_H_

#include <string>
#include <utility>

#include "duckdb.h"

namespace flightrec::query_engine {

class LogicalType {
 public:
  // Takes ownership.
  explicit LogicalType(duckdb_logical_type type) : type_(type) {}
  LogicalType(LogicalType&& other) noexcept : type_(std::exchange(other.type_, nullptr)) {}
  LogicalType& operator=(LogicalType&& other) noexcept {
    std::swap(type_, other.type_);
    return *this;
  }
  ~LogicalType() {
    if (type_ != nullptr) duckdb_destroy_logical_type(&type_);
  }
  duckdb_logical_type get() const { return type_; }

 private:
  duckdb_logical_type type_;
};

// As SQL writes it, for example BIGINT, DECIMAL(18,3) or VARCHAR[].
std::string TypeName(duckdb_logical_type type);

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_ENGINE_LOGICAL_TYPE_H_
