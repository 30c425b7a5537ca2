// Recordings in memory: loaded when first asked for, once however many ask,
// again when the backend has more of them, dropped when others need the room.
//
// Thread-safe. A caller keeps what it got alive, so what is dropped is freed
// when its last query ends.
#ifndef SERVICES_QUERY_ENGINE_CATALOG_RECORDING_CACHE_H_
#define SERVICES_QUERY_ENGINE_CATALOG_RECORDING_CACHE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/metrics/registry.h"
#include "services/query_engine/catalog/loaded_recording.h"
#include "services/query_engine/source/backend_client.h"

namespace flightrec::query_engine {

struct CacheLimits {
  int recordings = 4;
  // Of all recordings held, as the engine counts; the one asked for last stays
  // even if it is larger.
  int64_t bytes = int64_t{8} << 30;
  // Of each recording.
  DatabaseLimits database;
};

class RecordingCache {
 public:
  // How often a waiter looks whether its caller has gone.
  static constexpr absl::Duration kPollInterval = absl::Milliseconds(20);

  // `backend` and `registry` outlive the cache.
  RecordingCache(BackendClient& backend, const CacheLimits& limits, metrics::Registry& registry);

  // `name` is recordings/{recording} or recordings/@latest. NOT_FOUND and its
  // details are the backend's. CANCELLED when `cancelled` says so while another
  // caller's load is waited for.
  absl::StatusOr<std::shared_ptr<LoadedRecording>> Get(const std::string& name,
                                                       const std::function<bool()>& cancelled);

  // Forgets `loaded` if it is still held, because its engine is broken.
  void Drop(const LoadedRecording& loaded);

 private:
  struct Entry {
    bool loading = false;
    std::shared_ptr<LoadedRecording> loaded;
    uint64_t last_use = 0;
  };

  absl::Status WaitForTurn(const std::string& name, const std::function<bool()>& cancelled)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<bool> IsFresh(const LoadedRecording& loaded,
                               const trace::v1::Recording& recording);
  absl::StatusOr<std::shared_ptr<LoadedRecording>> Refresh(
      const std::shared_ptr<LoadedRecording>& held, const trace::v1::Recording& recording);
  void Evict(const std::string& keep) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  BackendClient& backend_;
  const CacheLimits limits_;
  metrics::Counter& loads_;
  metrics::Counter& hits_;
  metrics::Counter& evictions_;
  metrics::Gauge& held_bytes_;
  metrics::Histogram& load_seconds_;

  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  uint64_t uses_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_CATALOG_RECORDING_CACHE_H_
