// Makes recordings: starts programs with hooks or hooks running ones, sees that what their lanes
// hold goes to the backend, and knows the state of every recording of this tracer. Thread-safe.
// Knows no gRPC: the stream to the backend is tracer/ingest's.

#ifndef SERVICES_TRACER_RECORDER_RECORDER_H_
#define SERVICES_TRACER_RECORDER_RECORDER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/ids/ulid.h"
#include "services/tracer/recorder/capture_state.h"
#include "services/tracer/recorder/left_process.h"
#include "services/tracer/recorder/recording_environment.h"
#include "services/tracer/recorder/recording_run.h"

namespace flightrec::tracer {

// Recordings that run at once, and ended ones that are still known here; the backend knows all.
inline constexpr size_t kMaxRunningRecordings = 256;
inline constexpr size_t kMaxEndedRecordings = 1024;

class Recorder {
 public:
  // What `environment` points to outlives the recorder.
  explicit Recorder(RecordingEnvironment environment);

  // Ends every recording and waits until they are sealed or failed; programs run on unrecorded. No
  // Launch afterwards.
  void StopAll();

  // Blocks until the program is about to run its first instruction. NOT_FOUND, INVALID_ARGUMENT,
  // FAILED_PRECONDITION, PERMISSION_DENIED say what is wrong with the program, a pattern or a
  // limit; nothing was run then. ALREADY_EXISTS when the recording id is taken, RESOURCE_EXHAUSTED
  // beyond kMaxRunningRecordings.
  absl::StatusOr<CaptureState> Launch(const LaunchSpec& spec);
  // Blocks until calls are recorded. NOT_FOUND: there is no such process. FAILED_PRECONDITION,
  // PERMISSION_DENIED: why it cannot be hooked; it runs on as it was. The others as for Launch.
  absl::StatusOr<CaptureState> Attach(const AttachSpec& spec);

  // Goes on with the recording of a tracer that was killed. Errors of RecordingRun::TakeOver.
  absl::StatusOr<CaptureState> TakeOver(const LeftProcess& left);

  // Waits until it has ended or `timeout` has passed. Takes a resource name; NOT_FOUND names what
  // is known.
  absl::StatusOr<CaptureState> Await(absl::string_view recording, absl::Duration timeout);
  // Ends the recording and waits until it is sealed or failed.
  absl::StatusOr<CaptureState> Stop(absl::string_view recording, bool terminate_program);

  // Errors of RecordingRun::UpdateProbes and Await.
  absl::StatusOr<ProbeUpdate> UpdateProbes(absl::string_view recording,
                                           const std::vector<std::string>& add,
                                           const std::vector<std::string>& remove);

  // Newest first.
  std::vector<CaptureState> List();

 private:
  using Start =
      std::function<absl::StatusOr<std::shared_ptr<RecordingRun>>(const ids::Ulid& recording)>;

  // `recording` is what the caller asked for.
  absl::StatusOr<CaptureState> Begin(ids::Ulid recording, const Start& start);
  absl::StatusOr<std::shared_ptr<RecordingRun>> Find(absl::string_view recording);
  void ForgetOldest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const RecordingEnvironment environment_;
  absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  // ULIDs sort by time.
  std::map<std::string, std::shared_ptr<RecordingRun>> runs_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace flightrec::tracer

#endif  // SERVICES_TRACER_RECORDER_RECORDER_H_
