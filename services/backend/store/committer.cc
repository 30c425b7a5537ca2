#include "services/backend/store/committer.h"

#include <utility>

#include "absl/time/time.h"
#include "services/backend/store/keys.h"

namespace flightrec::backend {
namespace {

size_t BytesOf(const Batch& batch) {
  size_t bytes = 0;
  for (const Item& item : batch.items) {
    if (const auto* chunk = std::get_if<ChunkItem>(&item)) bytes += chunk->data.size();
  }
  return bytes;
}

}  // namespace

Committer::Committer(Database& database, CommitWatch& watch, clock::Clock& clock,
                     metrics::Registry& registry, uint64_t max_recordings)
    : database_(database),
      watch_(watch),
      clock_(clock),
      commits_(registry.AddCounter("flightrec_backend_commits_total", "Synced writes.")),
      failed_commits_(registry.AddCounter("flightrec_backend_failed_commits_total",
                                          "Synced writes that failed; nothing was acknowledged.")),
      chunks_(registry.AddCounter("flightrec_backend_chunks_total", "Chunks made durable.")),
      calls_(registry.AddCounter("flightrec_backend_calls_total", "Calls in durable chunks.")),
      chunk_bytes_(
          registry.AddCounter("flightrec_backend_chunk_bytes_total", "Bytes of durable chunks.")),
      duplicate_chunks_(registry.AddCounter("flightrec_backend_duplicate_chunks_total",
                                            "Chunks that were stored before.")),
      commit_seconds_(registry.AddHistogram("flightrec_backend_commit_seconds",
                                            "Time of one synced write.", metrics::LatencyBounds())),
      stager_(database, clock, max_recordings),
      thread_([this] { Run(); }) {}

Committer::~Committer() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

void Committer::OpenProducer(Producer producer, OpenCallback done) {
  Enqueue(OpenRequest{std::move(producer), std::move(done)});
}

void Committer::Commit(Batch batch, BatchCallback done) {
  Enqueue(BatchRequest{std::move(batch), std::move(done)});
}

void Committer::Apply(Change change, ChangeCallback done) {
  Enqueue(ChangeRequest{std::move(change), std::move(done)});
}

void Committer::Enqueue(Request request) {
  absl::MutexLock lock(&mutex_);
  queue_.push_back(std::move(request));
}

void Committer::Run() {
  while (true) {
    std::vector<Request> group = TakeGroup();
    if (group.empty()) return;
    CommitGroup(std::move(group));
  }
}

std::vector<Committer::Request> Committer::TakeGroup() {
  const auto has_work = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopping_ || !queue_.empty();
  };
  absl::MutexLock lock(&mutex_, absl::Condition(&has_work));
  std::vector<Request> group;
  size_t bytes = 0;
  while (!queue_.empty() && group.size() < kMaxGroupRequests && bytes < kMaxGroupBytes) {
    if (const auto* request = std::get_if<BatchRequest>(&queue_.front())) {
      bytes += BytesOf(request->batch);
    }
    group.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  return group;
}

absl::Status Committer::Recover() {
  if (!database_.write_failed()) return absl::OkStatus();
  absl::Status recovered = database_.Recover();
  // The log may have given back the write that failed: nothing that was known before counts.
  stager_.Clear(false);
  if (!recovered.ok()) {
    failed_commits_.Add();
    return recovered;
  }
  AnnounceRecovered();
  return recovered;
}

void Committer::AnnounceRecovered() {
  CommittedPositions found;
  for (const auto& [key, position] : std::exchange(unsure_, {})) {
    uint64_t& last = found[key];
    // A position that cannot be read now is announced with the recording's next commit.
    database_
        .ScanBackwards(Family::kChunks, key, PrefixEnd(key),
                       [&last](absl::string_view chunk_key, absl::string_view) {
                         last = LastIdOfKey(chunk_key);
                         return false;
                       })
        .IgnoreError();
  }
  if (!found.empty()) watch_.Notify(found);
}

void Committer::CommitGroup(std::vector<Request> group) {
  if (absl::Status ready = Recover(); !ready.ok()) {
    for (Request& request : group) std::visit([&ready](auto& r) { r.done(ready); }, request);
    return;
  }
  std::vector<Completion> completions;
  completions.reserve(group.size());
  for (Request& request : group) {
    completions.push_back(std::visit([this](auto& r) { return Stage(r); }, request));
  }
  absl::Status written;
  if (stager_.write().Count() > 0) {
    const absl::Duration begin = clock_.Monotonic();
    written = database_.WriteSynced(stager_.write());
    commit_seconds_.Observe(absl::ToDoubleSeconds(clock_.Monotonic() - begin));
    (written.ok() ? commits_ : failed_commits_).Add();
  }
  if (written.ok()) {
    chunks_.Add(stager_.totals().chunks);
    calls_.Add(stager_.totals().calls);
    chunk_bytes_.Add(stager_.totals().chunk_bytes);
    duplicate_chunks_.Add(stager_.totals().duplicate_chunks);
    watch_.Notify(stager_.positions());
  } else {
    unsure_ = stager_.positions();
  }
  stager_.Clear(written.ok());
  for (const Completion& complete : completions) complete(written);
}

Committer::Completion Committer::Stage(OpenRequest& request) {
  return [result = stager_.OpenProducer(request.producer), done = std::move(request.done)](
             const absl::Status& written) { done(written.ok() ? result : written); };
}

Committer::Completion Committer::Stage(BatchRequest& request) {
  return [result = stager_.Add(std::move(request.batch)), done = std::move(request.done)](
             const absl::Status& written) { done(written.ok() ? result : written); };
}

Committer::Completion Committer::Stage(ChangeRequest& request) {
  return [result = request.change(stager_), done = std::move(request.done)](
             const absl::Status& written) { done(written.ok() ? result : written); };
}

}  // namespace flightrec::backend
