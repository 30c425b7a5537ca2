// What the query engine needs to know before it starts. Filled in `main` or by
// the all-in-one; Finalize checks the whole. Values, no threads.
#ifndef SERVICES_QUERY_ENGINE_CONFIG_H_
#define SERVICES_QUERY_ENGINE_CONFIG_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/channel.h"
#include "common/rpc/server_config.h"

namespace flightrec::query_engine {

struct Config {
  rpc::ServerConfig server;
  // Where the backend listens: "host:port" or "unix:/path".
  std::string backend = "127.0.0.1:7072";
  rpc::ChannelConfig backend_channel;

  // Of one recording's engine.
  int64_t memory_limit_bytes = int64_t{4} << 30;
  int engine_threads = 2;
  // Recordings kept in memory.
  int cached_recordings = 4;
  int64_t cached_bytes = int64_t{8} << 30;
  absl::Duration load_timeout = absl::Minutes(5);

  // Of one SQL statement, when the request does not say, and at most.
  int64_t default_rows = 100'000;
  int64_t max_rows = 10'000'000;
  absl::Duration default_timeout = absl::Seconds(30);
  absl::Duration max_timeout = absl::Minutes(10);
  // Statements that run at once; more are refused with RESOURCE_EXHAUSTED.
  int max_statements = 16;
};

class FinalizedConfig {
 public:
  const Config& config() const { return config_; }
  const rpc::FinalizedServerConfig& server() const { return server_; }

 private:
  friend absl::StatusOr<FinalizedConfig> Finalize(const Config& config);
  FinalizedConfig(Config config, rpc::FinalizedServerConfig server)
      : config_(std::move(config)), server_(std::move(server)) {}

  Config config_;
  rpc::FinalizedServerConfig server_;
};

// INVALID_ARGUMENT names the flag, its value and what to do.
absl::StatusOr<FinalizedConfig> Finalize(const Config& config);

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_CONFIG_H_
