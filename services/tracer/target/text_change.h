// Changes to the code of a stopped process: finding out whether the code is what it is thought to
// be, moving threads out of the way, and writing.
//
// Stateless functions for the thread that traces the process, which stays stopped meanwhile.
// Stops and resumes nothing.
#ifndef SERVICES_TRACER_TARGET_TEXT_CHANGE_H_
#define SERVICES_TRACER_TARGET_TEXT_CHANGE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "services/tracer/inject/remote_process.h"
#include "services/tracer/patch/relocate.h"
#include "services/tracer/target/thread_control.h"

namespace flightrec::target {

struct TextChange {
  uint64_t address = 0;
  std::vector<uint8_t> expected;  // what is there now; may be longer than `bytes`
  std::vector<uint8_t> bytes;
  // Where a thread goes on that stands inside `bytes`: at `relocated` + its landmark.
  uint64_t relocated = 0;
  std::vector<patch::Landmark> landmarks;
};

// The indexes of changes whose expected bytes are not what is there, or are not mapped. Ascending.
std::vector<size_t> FindUnexpected(const inject::RemoteProcess& process,
                                   absl::Span<const TextChange> changes);

// Moves every stopped thread, and the code that its signal handlers return to, out of the bytes to
// be written. The indexes of changes that a thread stands in without a landmark: they must not be
// written.
absl::StatusOr<std::vector<size_t>> MoveThreads(ThreadControl& threads,
                                                inject::RemoteProcess& process,
                                                absl::Span<const TextChange> changes);

// Many changes close to each other cost one write. FAILED_PRECONDITION before anything is changed:
// the kernel does not let the code be written.
absl::Status WriteText(inject::RemoteProcess& process, absl::Span<const TextChange> changes);

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_TEXT_CHANGE_H_
