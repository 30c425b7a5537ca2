// How many functions of a program there are and how many of them can be hooked. Counting decodes
// the whole program, so it happens on a thread of its own, once for each build.
//
// Thread-safe. Looks at files only. The destructor waits for the program that is being counted.
#ifndef SERVICES_TRACER_HOST_HOOKABLE_COUNTER_H_
#define SERVICES_TRACER_HOST_HOOKABLE_COUNTER_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "services/tracer/host/elf_kind.h"

namespace flightrec::host {

struct HookableShare {
  uint64_t functions = 0;
  uint64_t hookable = 0;
};

// Larger files are not counted: they are read into memory.
inline constexpr uint64_t kMaxCountedBytes = uint64_t{256} << 20;

// Of the program in this file. Statuses as of symbols::ReadModule; RESOURCE_EXHAUSTED: it has more
// than kMaxCountedBytes.
absl::StatusOr<HookableShare> CountHookable(const std::string& path);

class HookableCounter {
 public:
  // Builds that are remembered; all are forgotten when there are more.
  static constexpr size_t kMaxBuilds = 4096;

  using Count = std::function<absl::StatusOr<HookableShare>(const std::string&)>;
  explicit HookableCounter(Count count = CountHookable);
  ~HookableCounter();
  HookableCounter(const HookableCounter&) = delete;
  HookableCounter& operator=(const HookableCounter&) = delete;

  // Sees to it that the program is counted some time. `build`: programs of the same name have the
  // same functions, see BuildOf. `path`: is read later.
  void Request(const std::string& build, const std::string& path);
  // Waits for it until `deadline`. Unset: it is not counted yet, or cannot be.
  absl::optional<HookableShare> Await(const std::string& build, absl::Time deadline);

 private:
  struct Entry {
    bool counted = false;
    absl::optional<HookableShare> share;
  };

  void Work();

  const Count count_;
  absl::Mutex mutex_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  // As many as there are entries at most.
  std::deque<std::pair<std::string, std::string>> waiting_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<std::string, Entry> builds_ ABSL_GUARDED_BY(mutex_);
  std::thread worker_;
};

// The build id in hex, or what tells the file from others.
std::string BuildOf(const ElfKind& kind, const std::string& path);

}  // namespace flightrec::host

#endif  // SERVICES_TRACER_HOST_HOOKABLE_COUNTER_H_
