// Changes the code of a running process: all threads stop, those that stand in
// the code to be changed are moved, the code is written, all go on.
//
// For the thread that traces the process.
#ifndef SERVICES_TRACER_TARGET_LIVE_PATCH_H_
#define SERVICES_TRACER_TARGET_LIVE_PATCH_H_

#include <cstddef>
#include <functional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "services/tracer/inject/remote_process.h"
#include "services/tracer/target/text_change.h"
#include "services/tracer/target/thread_control.h"

namespace flightrec::target {

struct PatchReport {
  // Indexes of changes that were not made, ascending: the code is not what was expected, or a
  // thread stands where it cannot be moved from.
  std::vector<size_t> unwritten;
  // From the first thread that was asked to stop to the last that went on.
  absl::Duration stopped;
};

// `prepare` is called when all threads have stopped, before anything is changed; its error ends it.
// Errors of ThreadControl::StopAll: nothing was changed then.
absl::StatusOr<PatchReport> PatchWhileRunning(
    ThreadControl& threads, inject::RemoteProcess& process, absl::Span<const TextChange> changes,
    const std::function<absl::Status()>& prepare = nullptr);

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_LIVE_PATCH_H_
