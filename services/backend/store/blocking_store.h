// A store in a directory of the test, with calls that wait for their completion.
//
// Not thread-safe.
#ifndef SERVICES_BACKEND_STORE_BLOCKING_STORE_H_
#define SERVICES_BACKEND_STORE_BLOCKING_STORE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/ids/ulid.h"
#include "common/metrics/registry.h"
#include "services/backend/store/batch.h"
#include "services/backend/store/chunk_cursor.h"
#include "services/backend/store/store.h"

namespace flightrec::backend {

// A fresh directory under the test's own.
std::string MakeStoreDirectory();

class BlockingStore {
 public:
  // Aborts the test program when the store cannot be opened. `clock` outlives it.
  explicit BlockingStore(const std::string& directory, const DatabaseOptions& options = {},
                         clock::Clock& clock = clock::RealClock());
  static absl::StatusOr<std::unique_ptr<BlockingStore>> Open(const std::string& directory,
                                                             const DatabaseOptions& options = {});

  Store& store() { return *store_; }
  metrics::Registry& registry() { return registry_; }

  absl::StatusOr<uint64_t> OpenProducer(const std::string& id = "p", uint64_t epoch = 1);
  absl::StatusOr<BatchResult> Commit(Batch batch);
  absl::Status Delete(const ids::Ulid& recording,
                      absl::Duration undelete_window = absl::ZeroDuration());
  absl::Status Undelete(const ids::Ulid& recording);
  absl::Status Purge(const ids::Ulid& recording, std::optional<int64_t> purge_time = std::nullopt);
  absl::StatusOr<std::vector<StoredChunk>> ReadAll(const ChunkQuery& query);

 private:
  BlockingStore() = default;

  metrics::Registry registry_;
  std::unique_ptr<Store> store_;
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_STORE_BLOCKING_STORE_H_
