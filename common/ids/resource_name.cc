#include "common/ids/resource_name.h"

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/ids/hex16.h"

namespace flightrec::ids {
namespace {

constexpr absl::string_view kRecordingForm = "recordings/{recording}";
constexpr absl::string_view kProcessForm = "recordings/{recording}/processes/{process}";
constexpr absl::string_view kThreadForm =
    "recordings/{recording}/processes/{process}/threads/{thread}";

// Longer than any name we make; keeps a message readable.
constexpr size_t kMaxQuotedName = 128;

absl::Status Malformed(absl::string_view name, absl::string_view form, absl::string_view reason) {
  return absl::InvalidArgumentError(absl::StrCat("\"",
                                                 absl::CHexEscape(name.substr(0, kMaxQuotedName)),
                                                 "\" is not of the form ", form, ": ", reason));
}

// Ids found at the odd segments of a name whose even segments must be the
// collections of `form`.
absl::StatusOr<ThreadName> Parse(absl::string_view name, absl::string_view form) {
  const std::vector<absl::string_view> segments = absl::StrSplit(name, '/');
  const std::vector<absl::string_view> expected = absl::StrSplit(form, '/');
  if (segments.size() != expected.size()) {
    return Malformed(
        name, form,
        absl::StrCat("it has ", segments.size(), " segments, expected ", expected.size()));
  }
  ThreadName ids;
  for (size_t i = 0; i < segments.size(); i += 2) {
    if (segments[i] != expected[i]) {
      return Malformed(name, form, absl::StrCat("segment ", i + 1, " is not ", expected[i]));
    }
    if (i == 0) {
      const absl::StatusOr<Ulid> ulid = Ulid::Parse(segments[1]);
      if (!ulid.ok()) return Malformed(name, form, ulid.status().message());
      ids.recording = *ulid;
      continue;
    }
    const absl::StatusOr<uint64_t> id = ParseHex16(segments[i + 1]);
    if (!id.ok()) return Malformed(name, form, id.status().message());
    (i == 2 ? ids.process : ids.thread) = *id;
  }
  return ids;
}

}  // namespace

std::string RecordingResourceName(const Ulid& recording) {
  return absl::StrCat("recordings/", recording.ToString());
}

std::string ProcessResourceName(const Ulid& recording, ProcessId process) {
  return absl::StrCat(RecordingResourceName(recording), "/processes/", Hex16(process));
}

std::string ThreadResourceName(const Ulid& recording, ProcessId process, ThreadId thread) {
  return absl::StrCat(ProcessResourceName(recording, process), "/threads/", Hex16(thread));
}

absl::StatusOr<Ulid> ParseRecordingResourceName(absl::string_view name) {
  const absl::StatusOr<ThreadName> ids = Parse(name, kRecordingForm);
  if (!ids.ok()) return ids.status();
  return ids->recording;
}

absl::StatusOr<ProcessName> ParseProcessResourceName(absl::string_view name) {
  const absl::StatusOr<ThreadName> ids = Parse(name, kProcessForm);
  if (!ids.ok()) return ids.status();
  return ProcessName{ids->recording, ids->process};
}

absl::StatusOr<ThreadName> ParseThreadResourceName(absl::string_view name) {
  return Parse(name, kThreadForm);
}

}  // namespace flightrec::ids
