#include "services/query_engine/catalog/recording_cache.h"

#include <google/protobuf/util/message_differencer.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace flightrec::query_engine {

RecordingCache::RecordingCache(BackendClient& backend, const CacheLimits& limits,
                               metrics::Registry& registry)
    : backend_(backend),
      limits_(limits),
      loads_(registry.AddCounter("flightrec_query_loads_total", "Recordings loaded into memory.")),
      hits_(registry.AddCounter("flightrec_query_cache_hits_total",
                                "Questions answered from a recording already in memory.")),
      evictions_(registry.AddCounter("flightrec_query_evictions_total",
                                     "Recordings dropped from memory to make room.")),
      held_bytes_(registry.AddGauge("flightrec_query_held_bytes",
                                    "Bytes of the recordings held in memory.")),
      load_seconds_(registry.AddHistogram("flightrec_query_load_seconds",
                                          "How long loading a recording took.",
                                          {0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300})) {}

absl::StatusOr<std::shared_ptr<LoadedRecording>> RecordingCache::Get(
    const std::string& name, const std::function<bool()>& cancelled) {
  // Asked every time: it resolves @latest and notices that a recording is gone.
  absl::StatusOr<trace::v1::Recording> recording = backend_.GetRecording(name);
  if (!recording.ok()) return recording.status();

  std::shared_ptr<LoadedRecording> held;
  {
    absl::MutexLock lock(&mutex_);
    if (absl::Status status = WaitForTurn(recording->name(), cancelled); !status.ok()) {
      return status;
    }
    Entry& entry = entries_[recording->name()];
    entry.last_use = ++uses_;
    if (entry.loaded != nullptr && entry.loaded->is_final()) {
      hits_.Add();
      return entry.loaded;
    }
    entry.loading = true;
    held = entry.loaded;
  }

  absl::StatusOr<std::shared_ptr<LoadedRecording>> loaded = Refresh(held, *recording);

  absl::MutexLock lock(&mutex_);
  Entry& entry = entries_[recording->name()];
  entry.loading = false;
  if (loaded.ok()) entry.loaded = *loaded;
  if (entry.loaded == nullptr) entries_.erase(recording->name());
  Evict(recording->name());
  return loaded;
}

absl::Status RecordingCache::WaitForTurn(const std::string& name,
                                         const std::function<bool()>& cancelled) {
  const auto is_free = [this, &name]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto entry = entries_.find(name);
    return entry == entries_.end() || !entry->second.loading;
  };
  while (!mutex_.AwaitWithTimeout(absl::Condition(&is_free), kPollInterval)) {
    if (cancelled()) {
      return absl::CancelledError(absl::StrCat("the caller went while ", name, " was loaded"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> RecordingCache::IsFresh(const LoadedRecording& loaded,
                                             const trace::v1::Recording& recording) {
  if (!google::protobuf::util::MessageDifferencer::Equals(loaded.recording, recording)) {
    return false;
  }
  absl::StatusOr<bool> has_more = backend_.HasChunksAfter(recording.name(), loaded.last_position);
  if (!has_more.ok()) return has_more.status();
  return !*has_more;
}

absl::StatusOr<std::shared_ptr<LoadedRecording>> RecordingCache::Refresh(
    const std::shared_ptr<LoadedRecording>& held, const trace::v1::Recording& recording) {
  if (held != nullptr) {
    absl::StatusOr<bool> fresh = IsFresh(*held, recording);
    if (!fresh.ok()) return fresh.status();
    if (*fresh) {
      hits_.Add();
      return held;
    }
  }
  loads_.Add();
  const absl::Time begin = absl::Now();
  auto loaded = LoadRecording(backend_, recording, limits_.database);
  load_seconds_.Observe(absl::ToDoubleSeconds(absl::Now() - begin));
  return loaded;
}

void RecordingCache::Evict(const std::string& keep) {
  while (true) {
    int64_t bytes = 0;
    int count = 0;
    auto oldest = entries_.end();
    for (auto entry = entries_.begin(); entry != entries_.end(); ++entry) {
      if (entry->second.loaded == nullptr) continue;
      ++count;
      bytes += entry->second.loaded->memory_bytes;
      if (entry->second.loading || entry->first == keep) continue;
      if (oldest == entries_.end() || entry->second.last_use < oldest->second.last_use) {
        oldest = entry;
      }
    }
    held_bytes_.Set(static_cast<double>(bytes));
    const bool fits = count <= limits_.recordings && bytes <= limits_.bytes;
    if (fits || oldest == entries_.end()) return;
    entries_.erase(oldest);
    evictions_.Add();
  }
}

void RecordingCache::Drop(const LoadedRecording& loaded) {
  absl::MutexLock lock(&mutex_);
  const auto entry = entries_.find(loaded.recording.name());
  if (entry == entries_.end() || entry->second.loaded.get() != &loaded) return;
  // The entry stays while it is being replaced.
  if (entry->second.loading) {
    entry->second.loaded = nullptr;
  } else {
    entries_.erase(entry);
  }
}

}  // namespace flightrec::query_engine
