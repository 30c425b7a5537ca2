#include "services/tracer/tracer_config.h"

#include <unistd.h>

#include <bit>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/tracer/lane/layout.h"

namespace flightrec::tracer {
namespace {

absl::Status OutOfRange(absl::string_view flag, uint64_t value, uint64_t least, uint64_t most) {
  return absl::InvalidArgumentError(absl::StrCat(flag, "=", value, ": use ", least, " to ", most));
}

}  // namespace

FinalizedTracerConfig::FinalizedTracerConfig(TracerConfig config, rpc::FinalizedServerConfig server)
    : config_(std::move(config)), server_(std::move(server)) {}

absl::Status ValidateLimits(const lane::LaneLimits& limits) {
  if (limits.threads < 1 || limits.threads > lane::kMaxThreads) {
    return OutOfRange("--max_threads", limits.threads, 1, lane::kMaxThreads);
  }
  if (limits.ring_bytes < lane::kMinRingBytes || limits.ring_bytes > lane::kMaxRingBytes) {
    return OutOfRange("--lane_bytes", limits.ring_bytes, lane::kMinRingBytes, lane::kMaxRingBytes);
  }
  if (!std::has_single_bit(limits.ring_bytes)) {
    return absl::InvalidArgumentError(absl::StrCat("--lane_bytes=", limits.ring_bytes,
                                                   ": use a power of two, such as ",
                                                   std::bit_ceil(limits.ring_bytes)));
  }
  if (limits.shadow_entries < lane::kMinShadowEntries ||
      limits.shadow_entries > lane::kMaxShadowEntries) {
    return OutOfRange("--max_depth", limits.shadow_entries, lane::kMinShadowEntries,
                      lane::kMaxShadowEntries);
  }
  const uint64_t memory = limits.threads * (limits.ring_bytes + uint64_t{limits.shadow_entries} *
                                                                    sizeof(lane::OpenCallEntry));
  if (memory > kMaxLaneMemory) {
    return absl::InvalidArgumentError(
        absl::StrCat("--max_threads=", limits.threads, " with --lane_bytes=", limits.ring_bytes,
                     " and --max_depth=", limits.shadow_entries, " may take ", memory >> 20,
                     " MiB, more than ", kMaxLaneMemory >> 20, " MiB: lower one of them"));
  }
  return absl::OkStatus();
}

absl::StatusOr<FinalizedTracerConfig> Finalize(const TracerConfig& config) {
  absl::StatusOr<rpc::FinalizedServerConfig> server = rpc::Finalize(config.server);
  if (!server.ok()) return server.status();
  if (config.backend.empty()) {
    return absl::InvalidArgumentError(
        "--backend is empty: name the backend, such as --backend=127.0.0.1:7072");
  }
  if (!absl::StartsWith(config.state_directory, "/")) {
    return absl::InvalidArgumentError(
        absl::StrCat("--state_dir=", config.state_directory,
                     ": use an absolute path on tmpfs, such as /dev/shm/flightrec"));
  }
  if (config.spool_bytes < kMinSpoolBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("--spool_bytes=", config.spool_bytes, ": use at least ", kMinSpoolBytes));
  }
  if (config.flush_deadline <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--flush_deadline=", absl::FormatDuration(config.flush_deadline), ": use more than 0s"));
  }
  absl::Status limits = ValidateLimits(config.limits);
  if (!limits.ok()) return limits;
  return FinalizedTracerConfig(config, *std::move(server));
}

std::string DefaultStateDirectory() { return absl::StrCat("/dev/shm/flightrec-", geteuid()); }

}  // namespace flightrec::tracer
