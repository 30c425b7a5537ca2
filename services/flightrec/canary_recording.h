// What the canary writes: a recording whose every byte follows from its id, so that whoever knows
// the id knows what has to come back.
//
// Thread-safe: pure functions.

#ifndef SERVICES_FLIGHTREC_CANARY_RECORDING_H_
#define SERVICES_FLIGHTREC_CANARY_RECORDING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/ids/ulid.h"
#include "flightrec/ingest/v1/ingest.pb.h"

namespace flightrec::cli {

inline constexpr uint64_t kCanaryChunks = 4;
// The first one is so large that it is kept as most of tracers are, in a blob file; the others are
// in tables.
inline constexpr uint64_t kCanaryCallsOfFirst = 1200;
inline constexpr uint64_t kCanaryCallsOfOthers = 200;

// In order of their ordinals.
absl::StatusOr<std::vector<std::string>> CanaryChunks(const ids::Ulid& recording);

// Everything of the recording, sealed.
absl::StatusOr<ingest::v1::Batch> CanaryBatch(const ids::Ulid& recording, uint64_t sequence);

}  // namespace flightrec::cli

#endif  // SERVICES_FLIGHTREC_CANARY_RECORDING_H_
