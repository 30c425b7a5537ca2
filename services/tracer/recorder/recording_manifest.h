// What is known of a recording that its lanes do not tell, on tmpfs beside them: the items that
// were sent to the backend before the first call, and functions since. With it another tracer goes
// on when this one was killed.
//
// The first line is `flightrec-recording 1`; then items, each 4 bytes of length, little-endian, and
// an ingest.v1.Item. An item that does not end was not finished and does not count. Not
// thread-safe.
#ifndef SERVICES_TRACER_RECORDER_RECORDING_MANIFEST_H_
#define SERVICES_TRACER_RECORDER_RECORDING_MANIFEST_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "flightrec/ingest/v1/ingest.pb.h"

namespace flightrec::tracer {

inline constexpr char kManifestSuffix[] = ".recording";

// From the items, of each name the last.
struct LeftRecording {
  trace::v1::Recording recording;
  trace::v1::Process process;
  // By the function index of the lane's records.
  std::vector<trace::v1::Function> functions;
};

class RecordingManifest {
 public:
  // In place of one that is there. Statuses of the file system.
  static absl::StatusOr<std::unique_ptr<RecordingManifest>> Create(const std::string& path);
  static absl::StatusOr<std::unique_ptr<RecordingManifest>> Continue(const std::string& path);
  // DATA_LOSS: not a manifest, or without a recording and a process. UNIMPLEMENTED: of a newer
  // version.
  static absl::StatusOr<LeftRecording> Read(const std::string& path);
  ~RecordingManifest();
  RecordingManifest(const RecordingManifest&) = delete;
  RecordingManifest& operator=(const RecordingManifest&) = delete;

  // All of it or nothing; after an error nothing more is added.
  absl::Status Add(const ingest::v1::Item& item);
  // All of the recording is durable.
  void Remove();

 private:
  RecordingManifest(std::string path, int file, uint64_t size)
      : path_(std::move(path)), file_(file), size_(size) {}
  absl::Status Append(const std::string& bytes);

  const std::string path_;
  const int file_;
  uint64_t size_;  // of whole items
  bool broken_ = false;
};

}  // namespace flightrec::tracer

#endif  // SERVICES_TRACER_RECORDER_RECORDING_MANIFEST_H_
