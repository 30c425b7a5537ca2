#include "services/backend/store/rollup_worker.h"

#include <sched.h>

#include <optional>
#include <utility>

#include "common/chunk/codec.h"
#include "services/backend/store/chunk_rollup.h"
#include "services/backend/store/keys.h"

namespace flightrec::backend {
namespace {

std::string KeyAt(const std::string& recording_key, uint64_t position) {
  std::string key = recording_key;
  AppendU64(key, position);
  return key;
}

}  // namespace

RollupWorker::RollupWorker(Database& database, CommitWatch& watch, clock::Clock& clock,
                           metrics::Registry& registry, size_t max_pending)
    : database_(database),
      watch_(watch),
      clock_(clock),
      max_pending_(max_pending),
      rollups_(registry.AddCounter("flightrec_backend_rollups_total", "Rollups of chunks made.")),
      unreadable_(registry.AddCounter("flightrec_backend_rollups_unreadable_total",
                                      "Chunks that do not decode.")),
      failures_(registry.AddCounter("flightrec_backend_rollup_failures_total",
                                    "Times that the store refused to read or write for rollups.")),
      pending_recordings_(registry.AddGauge("flightrec_backend_rollup_pending_recordings",
                                            "Recordings with chunks that may lack a rollup.")),
      thread_([this] { Run(); }) {
  watch_.SetObserver([this](const CommittedPositions& positions) {
    absl::MutexLock lock(&mutex_);
    for (const auto& [key, position] : positions) AddPending(key);
  });
}

RollupWorker::~RollupWorker() {
  watch_.SetObserver(nullptr);
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void RollupWorker::WaitUntilIdle() {
  const auto idle = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return pending_.empty() && !look_at_all_ && !busy_;
  };
  absl::MutexLock lock(&mutex_, absl::Condition(&idle));
}

void RollupWorker::AddPending(const std::string& recording_key) {
  if (pending_.size() == max_pending_) {
    look_at_all_ = overflowed_ = true;
  } else if (is_pending_.insert(recording_key).second) {
    pending_.push_back(recording_key);
    pending_recordings_.Set(static_cast<double>(pending_.size()));
  }
}

bool RollupWorker::stopping() const {
  absl::MutexLock lock(&mutex_);
  return stopping_;
}

void RollupWorker::Run() {
  const sched_param none = {};
  // Where it is refused the worker competes like any other thread.
  sched_setscheduler(0, SCHED_IDLE, &none);
  const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || look_at_all_ || !pending_.empty();
  };
  while (true) {
    std::string recording_key;
    {
      absl::MutexLock lock(&mutex_);
      busy_ = false;
      mutex_.Await(absl::Condition(&has_work));
      if (stopping_) return;
      busy_ = true;
      if (!pending_.empty()) {
        recording_key = std::move(pending_.front());
        pending_.pop_front();
        is_pending_.erase(recording_key);
        pending_recordings_.Set(static_cast<double>(pending_.size()));
      } else {
        look_at_all_ = false;
      }
    }
    if (recording_key.empty()) {
      AddRecordings();
      continue;
    }
    absl::StatusOr<bool> more = RollUp(recording_key);
    // What else failed is tried again with the recording's next commit, or after a restart.
    if (!more.ok()) failures_.Add();
    const bool unavailable = absl::IsUnavailable(more.status());
    if (unavailable || (more.ok() && *more)) {
      absl::MutexLock lock(&mutex_);
      AddPending(recording_key);
      if (unavailable) Pause();
    }
  }
}

void RollupWorker::Pause() {
  clock_.AwaitWithTimeout(mutex_, absl::Condition(&stopping_), kRollupRetryPause);
}

void RollupWorker::AddRecordings() {
  std::string next;
  std::string last;
  // Every key of the family: a tenant's length comes first, so none is larger.
  absl::Status scanned = database_.Scan(Family::kRecordings, next_of_all_, kLastKey,
                                        [this, &next, &last](absl::string_view key, auto) {
                                          absl::MutexLock lock(&mutex_);
                                          if (stopping_) return false;
                                          if (pending_.size() == max_pending_) {
                                            next = std::string(key);
                                            return false;
                                          }
                                          last = std::string(key);
                                          AddPending(last);
                                          return true;
                                        });
  absl::MutexLock lock(&mutex_);
  if (!scanned.ok()) {
    failures_.Add();
    if (!last.empty()) next_of_all_ = std::move(last);
    look_at_all_ = true;
    Pause();
    return;
  }
  next_of_all_ = std::move(next);
  if (!next_of_all_.empty()) {
    look_at_all_ = true;
  } else if (std::exchange(overflowed_, false)) {
    look_at_all_ = true;
  }
}

absl::StatusOr<bool> RollupWorker::RollUp(const std::string& recording_key) {
  uint64_t position = 0;
  absl::Status scanned =
      database_.ScanBackwards(Family::kRollups, recording_key, PrefixEnd(recording_key),
                              [&position](absl::string_view key, auto) {
                                position = LastIdOfKey(key);
                                return false;
                              });
  if (!scanned.ok()) return scanned;
  for (size_t i = 0; i < kRollupsPerTurn; ++i) {
    if (stopping()) return false;
    absl::StatusOr<bool> made = RollUpChunk(recording_key, ++position);
    if (!made.ok() || !*made) return made;
  }
  return true;
}

absl::StatusOr<bool> RollupWorker::RollUpChunk(const std::string& recording_key,
                                               uint64_t position) {
  absl::StatusOr<std::optional<std::string>> data =
      database_.Get(Family::kChunks, KeyAt(recording_key, position));
  if (!data.ok()) return data.status();
  if (!data->has_value()) return false;
  read::v1::ChunkRollup rollup;
  absl::StatusOr<chunk::CallChunk> chunk = chunk::DecodeCallChunk(**data);
  if (chunk.ok()) {
    rollup = MakeChunkRollup(*chunk, position);
  } else {
    unreadable_.Add();
    rollup.set_position(position);
    rollup.set_unreadable(true);
  }
  absl::Status written = Write(recording_key, position, rollup.SerializeAsString());
  if (!written.ok()) return written;
  rollups_.Add();
  return true;
}

absl::Status RollupWorker::Write(const std::string& recording_key, uint64_t position,
                                 const std::string& value) {
  absl::Status written = database_.Put(Family::kRollups, KeyAt(recording_key, position), value);
  if (!written.ok()) return written;
  // Deleted since the chunk was read: nothing of the recording stays.
  absl::StatusOr<std::optional<std::string>> tombstone =
      database_.Get(Family::kTombstones, recording_key);
  if (!tombstone.ok() || !tombstone->has_value()) return tombstone.status();
  return database_.DeleteRange(Family::kRollups, recording_key, PrefixEnd(recording_key));
}

}  // namespace flightrec::backend
