#include "services/backend/tail_service.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/rpc/status.h"
#include "services/backend/read_streams.h"
#include "services/backend/resource_resolver.h"
#include "services/backend/store/keys.h"

namespace flightrec::backend {
namespace {

constexpr absl::Duration kRetryAfterRefusal = absl::Seconds(1);

}  // namespace

grpc::ServerWriteReactor<read::v1::TailChunksResponse>* TailService::Tail(
    const std::string& tenant, const read::v1::TailChunksRequest& request) {
  absl::StatusOr<TailStream*> stream = Open(tenant, request);
  if (!stream.ok()) {
    return new FailedStream<read::v1::TailChunksResponse>(rpc::ToGrpcStatus(stream.status()));
  }
  (*stream)->Begin();
  return *stream;
}

absl::StatusOr<TailStream*> TailService::Open(const std::string& tenant,
                                              const read::v1::TailChunksRequest& request) {
  absl::StatusOr<Resource> resource = ResolveRecording(store_, tenant, "parent", request.parent());
  if (!resource.ok()) return resource.status();
  TailQuery query{tenant, resource->recording_id, request.after_position(),
                  static_cast<uint64_t>(limits_.max_tail_lag_chunks)};

  absl::MutexLock lock(&mutex_);
  if (draining_) return absl::UnavailableError("the server is shutting down");
  if (streams_.size() >= static_cast<size_t>(limits_.max_tails)) {
    metrics_.tails_refused.Add();
    return rpc::WithRetryAfter(absl::ResourceExhaustedError(absl::StrCat(
                                   "reader limit reached: --max_tails=", limits_.max_tails)),
                               kRetryAfterRefusal);
  }
  CommitWatch& watch = store_.watch();
  // Before the cursor looks where the recording ends: nothing is missed in between.
  const uint64_t follower = watch.Follow(RecordingKey(tenant, resource->recording_id));
  absl::StatusOr<TailCursor> cursor = store_.Tail(std::move(query));
  if (!cursor.ok()) {
    watch.Unfollow(follower);
    return cursor.status();
  }
  auto* stream = new TailStream(watch, follower, *std::move(cursor), metrics_,
                                [this](TailStream* done) { Forget(done); });
  streams_.insert(stream);
  metrics_.tails.Add(1);
  return stream;
}

void TailService::Forget(TailStream* stream) {
  metrics_.tails.Add(-1);
  absl::MutexLock lock(&mutex_);
  streams_.erase(stream);
}

void TailService::Drain() {
  absl::MutexLock lock(&mutex_);
  draining_ = true;
  // OnDone comes on another thread and waits for the lock, so none of them goes meanwhile.
  for (TailStream* stream : streams_) stream->Close();
}

}  // namespace flightrec::backend
