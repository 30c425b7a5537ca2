// A recording as tables in memory, and how it gets there.
//
// A LoadedRecording is read by any number of threads at once and never
// changes: a newer state of a recording is another object.
#ifndef SERVICES_QUERY_ENGINE_CATALOG_LOADED_RECORDING_H_
#define SERVICES_QUERY_ENGINE_CATALOG_LOADED_RECORDING_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "flightrec/trace/v1/trace.pb.h"
#include "services/query_engine/engine/database.h"
#include "services/query_engine/source/backend_client.h"

namespace flightrec::query_engine {

struct LoadedRecording {
  std::unique_ptr<Database> database;
  // As the backend gave it when loading began.
  trace::v1::Recording recording;
  std::vector<trace::v1::Process> processes;
  trace::v1::Completeness completeness;
  // Chunks after this position are not in it.
  uint64_t last_position = 0;
  // What the engine holds in memory.
  int64_t memory_bytes = 0;

  // Nothing can be added any more.
  bool is_final() const {
    return recording.state() == trace::v1::RECORDING_STATE_SEALED ||
           recording.state() == trace::v1::RECORDING_STATE_FAILED;
  }
};

// Reads all of `recording`. Errors are the backend's, or DATA_LOSS and the like
// for a chunk that cannot be read, naming the recording.
absl::StatusOr<std::shared_ptr<LoadedRecording>> LoadRecording(
    BackendClient& backend, const trace::v1::Recording& recording, const DatabaseLimits& limits);

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_CATALOG_LOADED_RECORDING_H_
