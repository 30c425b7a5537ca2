#include "services/backend/store/blocking_store.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <functional>
#include <optional>
#include <utility>

#include "absl/synchronization/notification.h"
#include "common/clock/clock.h"
#include "services/backend/store/keys.h"

namespace flightrec::backend {

std::string MakeStoreDirectory() {
  std::string directory = ::testing::TempDir() + "/store_XXXXXX";
  return mkdtemp(directory.data());
}

BlockingStore::BlockingStore(const std::string& directory, const DatabaseOptions& options,
                             clock::Clock& clock)
    : store_(Store::Open(directory, clock, registry_, options).value()) {}

absl::StatusOr<std::unique_ptr<BlockingStore>> BlockingStore::Open(const std::string& directory,
                                                                   const DatabaseOptions& options) {
  std::unique_ptr<BlockingStore> blocking(new BlockingStore());
  absl::StatusOr<std::unique_ptr<Store>> store =
      Store::Open(directory, clock::RealClock(), blocking->registry_, options);
  if (!store.ok()) return store.status();
  blocking->store_ = *std::move(store);
  return blocking;
}

absl::StatusOr<uint64_t> BlockingStore::OpenProducer(const std::string& id, uint64_t epoch) {
  absl::StatusOr<uint64_t> result;
  absl::Notification done;
  store_->OpenProducer({kDefaultTenant, id, epoch}, [&](absl::StatusOr<uint64_t> sequence) {
    result = std::move(sequence);
    done.Notify();
  });
  done.WaitForNotification();
  return result;
}

absl::StatusOr<BatchResult> BlockingStore::Commit(Batch batch) {
  absl::StatusOr<BatchResult> result;
  absl::Notification done;
  store_->Commit(std::move(batch), [&](absl::StatusOr<BatchResult> answer) {
    result = std::move(answer);
    done.Notify();
  });
  done.WaitForNotification();
  return result;
}

namespace {

// Starts a change and waits for its callback.
absl::Status Await(const std::function<void(ChangeCallback)>& start) {
  absl::Status result;
  absl::Notification done;
  start([&](absl::Status status) {
    result = std::move(status);
    done.Notify();
  });
  done.WaitForNotification();
  return result;
}

}  // namespace

absl::Status BlockingStore::Delete(const ids::Ulid& recording, absl::Duration undelete_window) {
  return Await([&](ChangeCallback done) {
    store_->Delete(kDefaultTenant, recording, undelete_window, std::move(done));
  });
}

absl::Status BlockingStore::Undelete(const ids::Ulid& recording) {
  return Await(
      [&](ChangeCallback done) { store_->Undelete(kDefaultTenant, recording, std::move(done)); });
}

absl::Status BlockingStore::Purge(const ids::Ulid& recording, std::optional<int64_t> purge_time) {
  return Await([&](ChangeCallback done) {
    store_->Purge(kDefaultTenant, recording, purge_time, std::move(done));
  });
}

absl::StatusOr<std::vector<StoredChunk>> BlockingStore::ReadAll(const ChunkQuery& query) {
  absl::StatusOr<ChunkCursor> cursor = store_->ReadChunks(query);
  if (!cursor.ok()) return cursor.status();
  std::vector<StoredChunk> chunks;
  while (true) {
    absl::StatusOr<std::optional<StoredChunk>> next = cursor->Next();
    if (!next.ok()) return next.status();
    if (!next->has_value()) return chunks;
    chunks.push_back(**std::move(next));
  }
}

}  // namespace flightrec::backend
