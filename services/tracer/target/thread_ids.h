// Tids as the tracer's pid namespace has them, for threads that know theirs in a namespace of
// their own: those of a process in a container.
//
// For one thread. Reads /proc only. In the tracer's own namespace a tid is what it is.
#ifndef SERVICES_TRACER_TARGET_THREAD_IDS_H_
#define SERVICES_TRACER_TARGET_THREAD_IDS_H_

#include <sys/types.h>

#include <cstdint>

#include "absl/container/flat_hash_map.h"
#include "absl/types/optional.h"

namespace flightrec::target {

class ThreadIds {
 public:
  // No thread has it: kernels give tids up to 4 million.
  static constexpr uint32_t kEnded = 0x7FFFFFFF;

  explicit ThreadIds(pid_t pid);

  // `tid`: the thread's own. `ordinal`: of its registration, which names it for good; 0: it has
  // none, and a later thread may have its tid. kEnded if no thread of the process has it.
  uint32_t OnHost(uint32_t tid, uint64_t ordinal);

  // The last of a thread's tids, the one it knows itself; unset if it has ended.
  static absl::optional<uint32_t> OwnTid(pid_t pid, uint32_t host_tid);

 private:
  // More threads than a process can have at once: what ended ones leave behind is forgotten.
  static constexpr size_t kMaxKnown = 1 << 20;

  uint32_t Find(uint32_t tid);

  const pid_t pid_;
  const bool same_namespace_;
  absl::flat_hash_map<uint32_t, uint32_t> by_tid_;      // as of the last look at all threads
  absl::flat_hash_map<uint64_t, uint32_t> by_ordinal_;  // never changes
};

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_THREAD_IDS_H_
