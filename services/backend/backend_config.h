// What a backend needs to know before it starts. `BackendConfig` is filled in `main` or by a test;
// a `FinalizedBackendConfig` is always a valid one. Values, no threads. Opens nothing.
#ifndef SERVICES_BACKEND_BACKEND_CONFIG_H_
#define SERVICES_BACKEND_BACKEND_CONFIG_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/server_config.h"

namespace flightrec::backend {

inline constexpr int kDefaultPort = 7072;
inline constexpr int kDefaultMetricsPort = 8072;

struct IngestLimits {
  // Producers' streams open at a time.
  int max_sessions = 1000;
  // The largest Batch that is kept. Less than what a message may have.
  int64_t max_batch_bytes = int64_t{2} << 20;
  // Of batches that one session may have under way; at least max_batch_bytes.
  int64_t session_credit_bytes = int64_t{8} << 20;
  // What all sessions share of that: beyond one batch each.
  int64_t max_bytes_in_flight = int64_t{512} << 20;
  // Kept in the store, deleted ones included until they are removed for good.
  int64_t max_recordings = 1'000'000;
};

struct ReadLimits {
  // Readers that follow a recording at a time.
  int max_tails = 256;
  // Of those, one that is this many chunks behind is told what it misses instead of getting it.
  int max_tail_lag_chunks = 256;
};

// What is removed without being asked for, and when. Never a recording in progress.
struct RetentionLimits {
  // After a recording has ended; zero: never.
  absl::Duration age = absl::ZeroDuration();
  // Of chunks; when there are more, deleted recordings go first, then the oldest. 0: no limit.
  int64_t bytes = 0;
  // How long a deleted recording can be brought back.
  absl::Duration undelete_window = absl::Hours(24);
  // How often to look.
  absl::Duration interval = absl::Minutes(1);
};

struct BackendConfig {
  rpc::ServerConfig server;
  // The store's directory; made when it is absent.
  std::string store_directory;
  IngestLimits ingest;
  ReadLimits read;
  RetentionLimits retention;
  // Make rollups of chunks in the background.
  bool rollups = false;
  // Say in the store's endpoint file where this backend listens. The all-in-one writes the file
  // itself.
  bool write_endpoint_file = true;
};

class FinalizedBackendConfig {
 public:
  const rpc::FinalizedServerConfig& server() const { return server_; }
  const std::string& store_directory() const { return store_directory_; }
  const IngestLimits& ingest() const { return ingest_; }
  const ReadLimits& read() const { return read_; }
  const RetentionLimits& retention() const { return retention_; }
  bool rollups() const { return rollups_; }
  bool write_endpoint_file() const { return write_endpoint_file_; }

 private:
  friend absl::StatusOr<FinalizedBackendConfig> Finalize(const BackendConfig& config);
  explicit FinalizedBackendConfig(rpc::FinalizedServerConfig server) : server_(std::move(server)) {}

  rpc::FinalizedServerConfig server_;
  std::string store_directory_;
  IngestLimits ingest_;
  ReadLimits read_;
  RetentionLimits retention_;
  bool rollups_ = false;
  bool write_endpoint_file_ = true;
};

// INVALID_ARGUMENT names the flag, its value and what it may be.
absl::StatusOr<FinalizedBackendConfig> Finalize(const BackendConfig& config);

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_BACKEND_CONFIG_H_
