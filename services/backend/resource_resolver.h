// From the name in a request to the ids in the store: `recordings/{recording}`,
// `recordings/@latest`, and a process or thread of either.
//
// Thread-safe. Reads the store; does not write.
#ifndef SERVICES_BACKEND_RESOURCE_RESOLVER_H_
#define SERVICES_BACKEND_RESOURCE_RESOLVER_H_

#include <cstddef>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/ids/resource_name.h"
#include "flightrec/trace/v1/trace.pb.h"
#include "services/backend/store/store.h"

namespace flightrec::backend {

// Named in NOT_FOUND.
inline constexpr size_t kNearestNames = 3;
inline constexpr absl::string_view kLatest = "recordings/@latest";

struct Resource {
  trace::v1::Recording recording;
  ids::Ulid recording_id;
  // 0: the name is that of the recording.
  ids::ProcessId process = 0;
  // 0: the name is that of the recording or process.
  ids::ThreadId thread = 0;
};

// INVALID_ARGUMENT: `name` does not have the form; `field` is where it stood. NOT_FOUND: there is
// no such recording; the nearest names are in the message. Whether the process or thread exists is
// not looked at.
absl::StatusOr<Resource> ResolveResource(const Store& store, absl::string_view tenant,
                                         absl::string_view field, absl::string_view name);

// The same for a name that must be that of a recording.
absl::StatusOr<Resource> ResolveRecording(const Store& store, absl::string_view tenant,
                                          absl::string_view field, absl::string_view name);

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_RESOURCE_RESOLVER_H_
