// What a tracer needs to know before it starts. `TracerConfig` is filled in main or by the
// all-in-one; `Finalize` checks the whole. Values, no threads.

#ifndef SERVICES_TRACER_TRACER_CONFIG_H_
#define SERVICES_TRACER_TRACER_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/channel.h"
#include "common/rpc/server_config.h"
#include "services/tracer/lane/lane_file.h"

namespace flightrec::tracer {

inline constexpr uint64_t kDefaultSpoolBytes = uint64_t{256} << 20;
inline constexpr uint64_t kMinSpoolBytes = uint64_t{4} << 20;
inline constexpr absl::Duration kDefaultFlushDeadline = absl::Seconds(60);

struct TracerConfig {
  rpc::ServerConfig server;
  // Where chunks go: host:port or unix:/path.
  std::string backend;
  rpc::ChannelConfig backend_channel;
  // On tmpfs: lanes of traced programs and the control token.
  std::string state_directory;
  // Where other tracers of this user have their state directories: what those have left that were
  // killed is taken over, or cleaned. Empty: only this tracer's own.
  std::string neighbours;
  // The same for tracers whose recordings belong together; empty: `backend`.
  std::string destination;
  // Nothing that was left goes on.
  bool clean = false;
  // Descriptors above 2 that programs get under the same numbers; all others are closed in them.
  std::vector<int> inherited_descriptors;
  // For programs whose launch does not say otherwise.
  lane::LaneLimits limits;
  // Chunks that the backend has not acknowledged, at most; beyond it the newest are counted as
  // lost.
  uint64_t spool_bytes = kDefaultSpoolBytes;
  // How long an ended recording waits for the backend to acknowledge its last chunk.
  absl::Duration flush_deadline = kDefaultFlushDeadline;
};

class FinalizedTracerConfig {
 public:
  const TracerConfig& config() const { return config_; }
  const rpc::FinalizedServerConfig& server() const { return server_; }

 private:
  friend absl::StatusOr<FinalizedTracerConfig> Finalize(const TracerConfig& config);
  FinalizedTracerConfig(TracerConfig config, rpc::FinalizedServerConfig server);

  TracerConfig config_;
  rpc::FinalizedServerConfig server_;
};

// INVALID_ARGUMENT names the flag, its value and what to do.
absl::StatusOr<FinalizedTracerConfig> Finalize(const TracerConfig& config);

// INVALID_ARGUMENT when one of them is out of range, or all together take more memory than
// kMaxLaneMemory.
inline constexpr uint64_t kMaxLaneMemory = uint64_t{16} << 30;
absl::Status ValidateLimits(const lane::LaneLimits& limits);

// /dev/shm/flightrec-UID.
std::string DefaultStateDirectory();

}  // namespace flightrec::tracer

#endif  // SERVICES_TRACER_TRACER_CONFIG_H_
