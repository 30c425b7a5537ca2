// One producer's stream, as the comments of ingest.proto say: Hello and Welcome, then batches in
// and acknowledgements out. A reactor: it has no thread of its own.
//
// Frames are read one at a time on gRPC's threads; commits complete on the store's thread; `mutex_`
// guards what they share. Reading stops while too many batches are uncommitted or too many answers
// unsent, so memory is bounded by the credit and the two limits below. The stream ends only after
// what was handed to the store has completed.
#ifndef SERVICES_BACKEND_INGEST_SESSION_H_
#define SERVICES_BACKEND_INGEST_SESSION_H_

#include <grpcpp/grpcpp.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/log/logger.h"
#include "flightrec/ingest/v1/ingest.pb.h"
#include "services/backend/ingest_metrics.h"
#include "services/backend/store/batch.h"
#include "services/backend/store/store.h"

namespace flightrec::backend {

inline constexpr size_t kMaxUncommittedBatches = 1024;
inline constexpr size_t kMaxUnsentResponses = 1024;
inline constexpr size_t kMaxProducerIdBytes = 128;

class IngestSession
    : public grpc::ServerBidiReactor<ingest::v1::SessionRequest, ingest::v1::SessionResponse>,
      public std::enable_shared_from_this<IngestSession> {
 public:
  struct Limits {
    int64_t credit_bytes = 0;
    int64_t max_batch_bytes = 0;
  };
  // What outlives every session.
  struct Dependencies {
    Store* store;
    IngestMetrics* metrics;
    log::Logger* logger;
  };

  // `on_done` runs, with this session, when gRPC has let go of it.
  IngestSession(std::string tenant, Limits limits, Dependencies dependencies,
                std::function<void(IngestSession*)> on_done);

  // Begins to read. The session keeps itself alive until OnDone.
  void Begin();
  // From any thread: finishes what is under way, then ends the stream with `status`. The first call
  // counts.
  void Close(const absl::Status& status);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone() override;

 private:
  using SessionResponse = ingest::v1::SessionResponse;
  struct PendingFlush {
    uint64_t token;
    // Answered when this many batches have completed.
    uint64_t batches;
  };

  void HandleFrame(bool said_hello);
  void HandleHello();
  void HandleBatch(ingest::v1::Batch& batch);
  void HandleFlush(uint64_t token);
  void OnOpened(absl::StatusOr<uint64_t> durable_sequence);
  void OnCommitted(uint64_t sequence, int64_t bytes, absl::StatusOr<BatchResult> result);

  // Starts whatever may start now: a read, a write, the end.
  void Advance() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void LogEnd() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SetClosing(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::optional<SessionResponse> NextResponse() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Limits limits_;
  const Dependencies dependencies_;
  const std::function<void(IngestSession*)> on_done_;
  // Set by Begin, dropped by OnDone.
  std::shared_ptr<IngestSession> self_;

  // The frame being read; belongs to gRPC from StartRead to OnReadDone.
  ingest::v1::SessionRequest request_;
  // The frame being written; belongs to gRPC from StartWrite to OnWriteDone.
  SessionResponse response_;

  absl::Mutex mutex_;
  Producer producer_ ABSL_GUARDED_BY(mutex_);
  bool said_hello_ ABSL_GUARDED_BY(mutex_) = false;
  bool welcomed_ ABSL_GUARDED_BY(mutex_) = false;
  // From StartRead until the frame has been handled.
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  // Set: no more frames are taken.
  std::optional<absl::Status> closing_ ABSL_GUARDED_BY(mutex_);
  // The peer has gone: nothing more is written.
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;

  int64_t credit_left_ ABSL_GUARDED_BY(mutex_);
  uint64_t batches_submitted_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t batches_completed_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t durable_sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  // An acknowledgement is due; those of several commits become one.
  bool ack_due_ ABSL_GUARDED_BY(mutex_) = false;
  int64_t ack_credit_ ABSL_GUARDED_BY(mutex_) = 0;
  // Welcome and rejections: they come before the acknowledgement that covers them.
  std::deque<SessionResponse> responses_ ABSL_GUARDED_BY(mutex_);
  std::deque<PendingFlush> flushes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_INGEST_SESSION_H_
