#include "services/tracer/target/thread_watch.h"

#include <algorithm>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "services/tracer/target/proc_files.h"

namespace flightrec::target {

uint64_t ThreadWatch::StartOf(uint32_t tid) const {
  const absl::StatusOr<uint64_t> start =
      ReadStartTicks(absl::StrCat("/proc/", pid_, "/task/", tid, "/stat"));
  return start.ok() ? *start : 0;
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
    starts[tid] = known == refused_starts_.end() ? StartOf(tid) : known->second;
  }
  refused_starts_ = std::move(starts);
}

std::vector<EndedThread> ThreadWatch::FindEnded(const std::vector<lane::LaneThread>& threads,
                                                const std::vector<uint32_t>& refused) {
  LookAtRefused(refused);
  std::vector<EndedThread> ended;
  absl::flat_hash_map<uint32_t, uint64_t> registered;  // living, tid to start
  for (const lane::LaneThread& thread : threads) {
    const uint64_t now = StartOf(thread.tid);
    const uint64_t first = starts_.try_emplace(thread.ordinal, now).first->second;
    // Another start time: the tid belongs to a new thread.
    if (now == 0 || now != first || IsReused(thread, threads)) {
      ended.push_back({thread, false});
    } else {
      registered[thread.tid] = now;
    }
  }
  if (ended.empty()) return ended;
  // The youngest thread without a slot of its own. Only threads created after
  // the ended one can have its gs base.
  uint64_t youngest = 0;
  // Twice: the kernel may skip an entry of the folder while others disappear.
  for (int pass = 0; pass < 2; ++pass) {
    for (const pid_t tid : ListThreads(pid_)) {
      if (tid == pid_) continue;  // created by no thread of the process
      const uint64_t start = StartOf(static_cast<uint32_t>(tid));
      const auto found = registered.find(static_cast<uint32_t>(tid));
      if (found != registered.end() && found->second == start) continue;
      const auto without = refused_starts_.find(static_cast<uint32_t>(tid));
      if (without != refused_starts_.end() && without->second == start) continue;
      youngest = std::max(youngest, start);
    }
  }
  for (EndedThread& thread : ended) {
    const uint64_t start = starts_[thread.thread.ordinal];
    thread.releasable = youngest < start || youngest == 0;
    if (thread.releasable) starts_.erase(thread.thread.ordinal);
  }
  return ended;
}

}  // namespace flightrec::target
