// `endpoints.json` in a store directory: which process owns the store and
// where it listens, so that other commands speak gRPC to it instead of opening
// the store. Written atomically by the owner, read by anybody. Stateless
// functions. Not a lock: RocksDB's own lock decides who owns a store.
#ifndef FLIGHTREC_COMMON_RPC_ENDPOINT_FILE_H_
#define FLIGHTREC_COMMON_RPC_ENDPOINT_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace flightrec::rpc {

inline constexpr char kEndpointFileName[] = "endpoints.json";

struct Endpoints {
  // Targets for MakeChannel; empty: not served by this process.
  std::string backend{};
  std::string query{};
  std::string tracer{};
  std::string mcp{};
  // Empty: none.
  std::string control_token_file{};
  absl::Time started{};
  // Filled by WriteEndpointFile: this process. The start time (clock ticks
  // since boot) tells a reused pid from the owner.
  int64_t pid = 0;
  uint64_t pid_start_ticks = 0;
};

absl::Status WriteEndpointFile(const std::string& directory, Endpoints endpoints);

// NOT_FOUND: no file, or the process that wrote it has gone (the message says
// which). DATA_LOSS: the file cannot be parsed.
absl::StatusOr<Endpoints> ReadEndpointFile(const std::string& directory);

// Removes the file if this process wrote it; ok when there is none.
absl::Status RemoveEndpointFile(const std::string& directory);

}  // namespace flightrec::rpc

#endif  // FLIGHTREC_COMMON_RPC_ENDPOINT_FILE_H_
