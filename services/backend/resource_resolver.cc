#include "services/backend/resource_resolver.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/ids/hex16.h"
#include "common/rpc/status.h"

namespace flightrec::backend {
namespace {

constexpr char kForm[] =
    "must be recordings/{recording}, optionally with /processes/{process} and /threads/{thread}";

// The parts of a name; `recording` is "recordings/...".
struct NameParts {
  std::string recording;
  ids::ProcessId process = 0;
  ids::ThreadId thread = 0;
};

absl::StatusOr<NameParts> SplitName(absl::string_view field, absl::string_view name) {
  const std::vector<absl::string_view> parts = absl::StrSplit(name, '/');
  const absl::Status malformed = rpc::InvalidField(field, absl::StrCat(kForm, ", got ", name));
  if (parts.size() != 2 && parts.size() != 4 && parts.size() != 6) return malformed;
  if (parts[0] != "recordings" || parts[1].empty()) return malformed;
  NameParts result{absl::StrCat("recordings/", parts[1])};
  if (parts.size() >= 4) {
    absl::StatusOr<uint64_t> process = ids::ParseHex16(parts[3]);
    if (parts[2] != "processes" || !process.ok()) return malformed;
    result.process = *process;
  }
  if (parts.size() == 6) {
    absl::StatusOr<uint64_t> thread = ids::ParseHex16(parts[5]);
    if (parts[4] != "threads" || !thread.ok()) return malformed;
    result.thread = *thread;
  }
  return result;
}

absl::Status NotFound(const Store& store, absl::string_view tenant, absl::string_view name) {
  absl::StatusOr<std::vector<std::string>> nearest =
      store.NearestRecordings(tenant, name, kNearestNames);
  if (!nearest.ok()) return nearest.status();
  const std::string next_step = nearest->empty()
                                    ? "the store has no recording yet: make one with flightrec run"
                                    : absl::StrCat("nearest: ", absl::StrJoin(*nearest, ", "));
  return rpc::WithReason(absl::NotFoundError(absl::StrCat(name, " not found")),
                         "RECORDING_NOT_FOUND", next_step);
}

}  // namespace

absl::StatusOr<Resource> ResolveResource(const Store& store, absl::string_view tenant,
                                         absl::string_view field, absl::string_view name) {
  absl::StatusOr<NameParts> parts = SplitName(field, name);
  if (!parts.ok()) return parts.status();
  ids::Ulid id;
  if (parts->recording == kLatest) {
    absl::StatusOr<std::optional<ids::Ulid>> latest = store.LatestRecording(tenant);
    if (!latest.ok()) return latest.status();
    if (!latest->has_value()) return NotFound(store, tenant, parts->recording);
    id = **latest;
  } else {
    absl::StatusOr<ids::Ulid> parsed = ids::ParseRecordingResourceName(parts->recording);
    // A name that no recording can have is answered like one that none has.
    if (!parsed.ok()) return NotFound(store, tenant, parts->recording);
    id = *parsed;
  }
  absl::StatusOr<trace::v1::Recording> recording = store.GetRecording(tenant, id);
  if (absl::IsNotFound(recording.status())) return NotFound(store, tenant, parts->recording);
  if (!recording.ok()) return recording.status();
  return Resource{*std::move(recording), id, parts->process, parts->thread};
}

absl::StatusOr<Resource> ResolveRecording(const Store& store, absl::string_view tenant,
                                          absl::string_view field, absl::string_view name) {
  absl::StatusOr<Resource> resource = ResolveResource(store, tenant, field, name);
  if (!resource.ok()) return resource;
  if (resource->process != 0 || resource->thread != 0) {
    return rpc::InvalidField(field, absl::StrCat("must be recordings/{recording}, got ", name));
  }
  return resource;
}

}  // namespace flightrec::backend
