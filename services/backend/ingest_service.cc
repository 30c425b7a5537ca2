#include "services/backend/ingest_service.h"

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/rpc/status.h"
#include "services/backend/tenant.h"

namespace flightrec::backend {
namespace {

constexpr absl::Duration kRetryAfterRefusal = absl::Seconds(1);

absl::Status Draining() {
  return rpc::WithRetryAfter(
      absl::UnavailableError("the backend is shutting down: what was acknowledged is on disk"),
      kRetryAfterRefusal);
}

// A session that ends before it begins.
class RefusedSession
    : public grpc::ServerBidiReactor<ingest::v1::SessionRequest, ingest::v1::SessionResponse> {
 public:
  explicit RefusedSession(const absl::Status& status) { Finish(rpc::ToGrpcStatus(status)); }
  void OnDone() override { delete this; }
};

}  // namespace

IngestService::IngestService(Store& store, const IngestLimits& limits,
                             const rpc::Authenticator& authenticator, log::Logger& logger,
                             metrics::Registry& registry)
    : store_(store),
      limits_(limits),
      authenticator_(authenticator),
      logger_(logger),
      metrics_(registry),
      pool_(limits) {}

grpc::ServerBidiReactor<ingest::v1::SessionRequest, ingest::v1::SessionResponse>*
IngestService::Session(grpc::CallbackServerContext* context) {
  absl::StatusOr<int64_t> credit = pool_.Take();
  if (!credit.ok()) {
    metrics_.sessions_refused.Add();
    return new RefusedSession(rpc::WithRetryAfter(credit.status(), kRetryAfterRefusal));
  }
  std::shared_ptr<IngestSession> session;
  {
    absl::MutexLock lock(&mutex_);
    if (draining_) {
      pool_.GiveBack(*credit);
      return new RefusedSession(Draining());
    }
    session = std::make_shared<IngestSession>(
        TenantOf(authenticator_, *context), IngestSession::Limits{*credit, limits_.max_batch_bytes},
        IngestSession::Dependencies{&store_, &metrics_, &logger_},
        [this, bytes = *credit](IngestSession* done) { Forget(done, bytes); });
    sessions_.emplace(session.get(), session);
  }
  metrics_.sessions_opened.Add();
  metrics_.sessions.Add(1);
  session->Begin();
  return session.get();
}

void IngestService::Forget(IngestSession* session, int64_t credit) {
  metrics_.sessions.Add(-1);
  pool_.GiveBack(credit);
  absl::MutexLock lock(&mutex_);
  sessions_.erase(session);
}

void IngestService::Drain() {
  std::vector<std::shared_ptr<IngestSession>> sessions;
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
    for (auto& [key, weak] : sessions_) {
      if (std::shared_ptr<IngestSession> session = weak.lock()) sessions.push_back(session);
    }
  }
  for (const std::shared_ptr<IngestSession>& session : sessions) session->Close(Draining());
}

}  // namespace flightrec::backend
