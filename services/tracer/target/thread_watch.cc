#include "services/tracer/target/thread_watch.h"

#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "services/tracer/target/proc_files.h"

namespace flightrec::target {
namespace {

constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;
// The calibrated rate and that of the boot clock, which follows a time server, differ by less.
constexpr int64_t kRateErrorDivisor = 1000;
constexpr int64_t kReadErrorNanoseconds = 10'000;

}  // namespace

absl::optional<uint64_t> ThreadWatch::StartOf(uint32_t tid) const {
  const absl::StatusOr<uint64_t> start =
      ReadStartTicks(absl::StrCat("/proc/", pid_, "/task/", tid, "/stat"));
  if (start.ok()) return *start;
  if (syscall(SYS_tgkill, pid_, tid, 0) != 0 && errno == ESRCH) return 0;
  // Alive, or it has ended in between: the next look tells.
  return absl::nullopt;
}

uint64_t ThreadWatch::RegisteredAt(uint64_t start_ticks) const {
  timespec now = {};
  // Before the counter: what comes between makes the result earlier, not later.
  clock_gettime(CLOCK_BOOTTIME, &now);
  const uint64_t ticks = clock::ReadTicks();
  const int64_t age = clock::ToDurationNs(calibration_, ticks - std::min(ticks, start_ticks));
  const int64_t now_ns = now.tv_sec * kNanosecondsPerSecond + now.tv_nsec;
  const int64_t error = age / kRateErrorDivisor + kReadErrorNanoseconds;
  if (age > now_ns - error) return 0;
  return static_cast<uint64_t>((now_ns - age - error) /
                               (kNanosecondsPerSecond / sysconf(_SC_CLK_TCK)));
}

namespace {

// A later thread has the same tid. Start times alone do not tell: they count in hundredths of a
// second.
bool IsReused(const lane::LaneThread& thread, const std::vector<lane::LaneThread>& threads) {
  return std::any_of(threads.begin(), threads.end(), [&thread](const lane::LaneThread& other) {
    return other.tid == thread.tid && other.ordinal > thread.ordinal;
  });
}

}  // namespace

void ThreadWatch::LookAtRefused(const std::vector<uint32_t>& refused) {
  absl::flat_hash_map<uint32_t, uint64_t> starts;
  for (const uint32_t tid : refused) {
    const auto known = refused_starts_.find(tid);
    const absl::optional<uint64_t> start =
        known == refused_starts_.end() ? StartOf(tid) : absl::make_optional(known->second);
    if (start.has_value()) starts[tid] = *start;
  }
  refused_starts_ = std::move(starts);
}

std::vector<EndedThread> ThreadWatch::SplitOff(
    const std::vector<lane::LaneThread>& threads,
    absl::flat_hash_map<uint32_t, uint64_t>& registered) {
  std::vector<EndedThread> ended;
  for (const lane::LaneThread& thread : threads) {
    const absl::optional<uint64_t> now = StartOf(thread.tid);
    if (!now.has_value()) continue;
    const auto [found, is_first] = first_looks_.try_emplace(thread.ordinal);
    if (is_first) found->second = {*now, RegisteredAt(thread.start_ticks)};
    // Another start time: the tid belongs to a new thread.
    if (*now == 0 || *now != found->second.start || IsReused(thread, threads)) {
      ended.push_back({thread, false});
    } else {
      registered[thread.tid] = *now;
    }
  }
  return ended;
}

uint64_t ThreadWatch::Youngest(const absl::flat_hash_map<uint32_t, uint64_t>& registered) const {
  constexpr uint64_t kUnknown = ~uint64_t{0};
  uint64_t youngest = 0;
  // Twice: the kernel may skip an entry of the folder while others disappear.
  for (int pass = 0; pass < 2; ++pass) {
    const absl::StatusOr<std::vector<pid_t>> listed = ListThreads(pid_);
    if (!listed.ok()) return absl::IsNotFound(listed.status()) ? youngest : kUnknown;
    for (const pid_t tid : *listed) {
      if (tid == pid_) continue;  // created by no thread of the process
      const absl::optional<uint64_t> start = StartOf(static_cast<uint32_t>(tid));
      if (!start.has_value()) return kUnknown;
      const auto found = registered.find(static_cast<uint32_t>(tid));
      if (found != registered.end() && found->second == *start) continue;
      const auto without = refused_starts_.find(static_cast<uint32_t>(tid));
      if (without != refused_starts_.end() && without->second == *start) continue;
      youngest = std::max(youngest, *start);
    }
  }
  return youngest;
}

std::vector<EndedThread> ThreadWatch::FindEnded(const std::vector<lane::LaneThread>& threads,
                                                const std::vector<uint32_t>& refused) {
  LookAtRefused(refused);
  absl::flat_hash_map<uint32_t, uint64_t> registered;
  std::vector<EndedThread> ended = SplitOff(threads, registered);
  if (ended.empty()) return ended;
  const uint64_t youngest = Youngest(registered);
  for (EndedThread& thread : ended) {
    const uint64_t ordinal = thread.thread.ordinal;
    // Only a thread created after the registration can have the ended one's gs base.
    thread.releasable = youngest == 0 || youngest < first_looks_[ordinal].registered;
    if (thread.releasable) first_looks_.erase(ordinal);
  }
  return ended;
}

}  // namespace flightrec::target
