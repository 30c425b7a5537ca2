// What all recordings of a tracer share. A value; copying is cheap.

#ifndef SERVICES_TRACER_RECORDER_RECORDING_ENVIRONMENT_H_
#define SERVICES_TRACER_RECORDER_RECORDING_ENVIRONMENT_H_

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/clock/calibration.h"
#include "common/clock/clock.h"
#include "common/ids/ulid.h"
#include "common/log/logger.h"
#include "services/tracer/ingest/ingest_client.h"
#include "services/tracer/lane/clock_publisher.h"

namespace flightrec::tracer {

// Pointers outlive the recordings.
struct RecordingEnvironment {
  // Exists, on tmpfs.
  std::string lane_directory;
  std::string host;
  // Descriptors above 2 that programs get.
  std::vector<int> inherited_descriptors;
  absl::Duration flush_deadline;
  clock::Calibration calibration;
  clock::Clock* clock;
  lane::ClockPublisher* coarse_clock;
  ids::UlidGenerator* ulids;
  ingest::IngestClient* ingest;
  log::Logger* logger;
};

}  // namespace flightrec::tracer

#endif  // SERVICES_TRACER_RECORDER_RECORDING_ENVIRONMENT_H_
