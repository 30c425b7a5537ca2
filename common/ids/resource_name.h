// Resource names of the API: recordings/{ulid}/processes/{hex16}/threads/{hex16}.
//
// Thread-safe: pure functions. Does not say whether the resource exists.
#ifndef COMMON_IDS_RESOURCE_NAME_H_
#define COMMON_IDS_RESOURCE_NAME_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/ids/entity_id.h"
#include "common/ids/ulid.h"

namespace flightrec::ids {

struct ProcessName {
  Ulid recording;
  ProcessId process = 0;
  bool operator==(const ProcessName&) const = default;
};

struct ThreadName {
  Ulid recording;
  ProcessId process = 0;
  ThreadId thread = 0;
  bool operator==(const ThreadName&) const = default;
};

std::string RecordingResourceName(const Ulid& recording);
std::string ProcessResourceName(const Ulid& recording, ProcessId process);
std::string ThreadResourceName(const Ulid& recording, ProcessId process, ThreadId thread);

// INVALID_ARGUMENT with the name and the form that is expected.
absl::StatusOr<Ulid> ParseRecordingResourceName(absl::string_view name);
absl::StatusOr<ProcessName> ParseProcessResourceName(absl::string_view name);
absl::StatusOr<ThreadName> ParseThreadResourceName(absl::string_view name);

}  // namespace flightrec::ids

#endif  // COMMON_IDS_RESOURCE_NAME_H_
