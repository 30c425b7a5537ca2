#include "services/tracer/target/live_patch.h"

#include <algorithm>
#include <iterator>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/time/clock.h"

namespace flightrec::target {
namespace {

// Copied to `kept` only if something is left out: the program stands still meanwhile.
absl::Span<const TextChange> Without(absl::Span<const TextChange> changes,
                                     const std::vector<size_t>& left_out,
                                     std::vector<TextChange>& kept) {
  if (left_out.empty()) return changes;
  for (size_t i = 0; i < changes.size(); ++i) {
    if (!std::binary_search(left_out.begin(), left_out.end(), i)) kept.push_back(changes[i]);
  }
  return kept;
}

}  // namespace

absl::StatusOr<PatchReport> PatchWhileRunning(ThreadControl& threads,
                                              inject::RemoteProcess& process,
                                              absl::Span<const TextChange> changes,
                                              const std::function<absl::Status()>& prepare) {
  PatchReport report;
  if (changes.empty()) return report;
  absl::Status status = threads.StopAll();
  if (!status.ok()) return status;
  absl::Cleanup resume = [&threads] { threads.Resume(); };
  if (prepare != nullptr) {
    status = prepare();
    if (!status.ok()) return status;
  }
  const std::vector<size_t> unexpected = FindUnexpected(process, changes);
  // Nobody is moved into the copy of code that is not there.
  std::vector<TextChange> expected_ones;
  const absl::Span<const TextChange> present = Without(changes, unexpected, expected_ones);
  const absl::StatusOr<std::vector<size_t>> blocked = MoveThreads(threads, process, present);
  if (!blocked.ok()) return blocked.status();
  std::vector<TextChange> free_ones;
  status = WriteText(process, Without(present, *blocked, free_ones));
  if (!status.ok()) return status;
  std::move(resume).Invoke();
  report.stopped = absl::Now() - threads.stopping_since();
  report.unwritten = unexpected;
  // From places in `present` to places in `changes`.
  size_t kept = 0;
  for (size_t i = 0; i < changes.size(); ++i) {
    if (std::binary_search(unexpected.begin(), unexpected.end(), i)) continue;
    if (std::binary_search(blocked->begin(), blocked->end(), kept++)) report.unwritten.push_back(i);
  }
  std::sort(report.unwritten.begin(), report.unwritten.end());
  return report;
}

}  // namespace flightrec::target
