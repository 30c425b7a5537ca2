#include "services/query_engine/config.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace flightrec::query_engine {
namespace {

constexpr int64_t kMinMemoryBytes = int64_t{64} << 20;

absl::Status AtLeast(absl::string_view flag, int64_t value, int64_t least) {
  if (value >= least) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, "=", value, " is too small; give at least ", least));
}

absl::Status Positive(absl::string_view flag, absl::Duration value) {
  if (value > absl::ZeroDuration()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, "=", absl::FormatDuration(value), " must be longer than 0"));
}

}  // namespace

absl::StatusOr<FinalizedConfig> Finalize(const Config& config) {
  absl::Status status;
  if (config.backend.empty()) {
    status = absl::InvalidArgumentError("--backend is empty; give host:port or unix:/path");
  }
  status.Update(AtLeast("memory_limit_mb", config.memory_limit_bytes >> 20, kMinMemoryBytes >> 20));
  status.Update(AtLeast("engine_threads", config.engine_threads, 1));
  status.Update(AtLeast("cached_recordings", config.cached_recordings, 1));
  status.Update(AtLeast("cached_mb", config.cached_bytes >> 20, 1));
  status.Update(AtLeast("sql_default_rows", config.default_rows, 1));
  status.Update(AtLeast("sql_max_rows", config.max_rows, config.default_rows));
  status.Update(AtLeast("sql_max_statements", config.max_statements, 1));
  status.Update(Positive("load_timeout", config.load_timeout));
  status.Update(Positive("sql_default_timeout", config.default_timeout));
  status.Update(Positive("sql_max_timeout", config.max_timeout));
  if (!status.ok()) return status;
  absl::StatusOr<rpc::FinalizedServerConfig> server = rpc::Finalize(config.server);
  if (!server.ok()) return server.status();
  return FinalizedConfig(config, *std::move(server));
}

}  // namespace flightrec::query_engine
