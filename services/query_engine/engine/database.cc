#include "services/query_engine/engine/database.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/query_engine/engine/engine_error.h"

namespace flightrec::query_engine {
namespace {

std::vector<std::pair<std::string, std::string>> Settings(const DatabaseLimits& limits) {
  return {
      {"memory_limit", absl::StrCat(limits.memory_bytes, "B")},
      {"threads", absl::StrCat(limits.threads)},
      {"autoinstall_known_extensions", "false"},
      {"autoload_known_extensions", "false"},
      {"allow_community_extensions", "false"},
      {"allow_unsigned_extensions", "false"},
      {"max_expression_depth", "250"},
  };
}

}  // namespace

absl::Status Connection::Execute(absl::string_view sql) {
  duckdb_result result;
  const duckdb_state state = duckdb_query(connection_, std::string(sql).c_str(), &result);
  absl::Status status;
  if (state != DuckDBSuccess) {
    status = EngineError(duckdb_result_error_type(&result), duckdb_result_error(&result));
  }
  duckdb_destroy_result(&result);
  return status;
}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const DatabaseLimits& limits) {
  duckdb_config config;
  if (duckdb_create_config(&config) != DuckDBSuccess) {
    return absl::ResourceExhaustedError("no memory for the engine's configuration");
  }
  for (const auto& [name, value] : Settings(limits)) {
    if (duckdb_set_config(config, name.c_str(), value.c_str()) != DuckDBSuccess) {
      duckdb_destroy_config(&config);
      return absl::InternalError(absl::StrCat("the engine refuses ", name, "=", value));
    }
  }
  duckdb_database database;
  char* error = nullptr;
  const duckdb_state state = duckdb_open_ext(":memory:", &database, config, &error);
  duckdb_destroy_config(&config);
  if (state != DuckDBSuccess) {
    const absl::Status status = absl::InternalError(absl::StrCat("opening the engine: ", error));
    duckdb_free(error);
    return status;
  }
  std::unique_ptr<Database> opened(new Database(database));
  if (absl::Status status = opened->LockDown(); !status.ok()) return status;
  return opened;
}

absl::StatusOr<std::unique_ptr<Connection>> Database::Connect() {
  duckdb_connection connection;
  if (duckdb_connect(database_, &connection) != DuckDBSuccess) {
    return absl::InternalError("the engine gives no connection");
  }
  return std::make_unique<Connection>(connection);
}

absl::Status Database::LockDown() {
  absl::StatusOr<std::unique_ptr<Connection>> connection = Connect();
  if (!connection.ok()) return connection.status();
  // In this order: without external access the directory that the engine would
  // move blocks to could not be taken away any more.
  return (*connection)
      ->Execute(
          "SET temp_directory = ''; SET enable_external_access = false; "
          "SET lock_configuration = true");
}

}  // namespace flightrec::query_engine
