// An in-memory DuckDB that belongs to this process, and connections to it.
//
// Database is thread-safe; a Connection is for one thread, except Interrupt. A
// Database outlives its connections. Nothing is read from or written to disk,
// no extension is loaded, and no statement can change these settings.
#ifndef SERVICES_QUERY_ENGINE_ENGINE_DATABASE_H_
#define SERVICES_QUERY_ENGINE_ENGINE_DATABASE_H_

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "duckdb.h"

namespace flightrec::query_engine {

struct DatabaseLimits {
  int64_t memory_bytes = int64_t{4} << 30;
  int threads = 2;
};

class Connection {
 public:
  // Takes ownership.
  explicit Connection(duckdb_connection connection) : connection_(connection) {}
  ~Connection() { duckdb_disconnect(&connection_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Runs statements whose rows are of no interest.
  absl::Status Execute(absl::string_view sql);

  // From any thread: the statement that runs now ends with an error.
  void Interrupt() { duckdb_interrupt(connection_); }

  duckdb_connection get() const { return connection_; }

 private:
  duckdb_connection connection_;
};

class Database {
 public:
  static absl::StatusOr<std::unique_ptr<Database>> Open(const DatabaseLimits& limits);
  ~Database() { duckdb_close(&database_); }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  absl::StatusOr<std::unique_ptr<Connection>> Connect();

 private:
  explicit Database(duckdb_database database) : database_(database) {}
  absl::Status LockDown();

  duckdb_database database_;
};

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_ENGINE_DATABASE_H_
