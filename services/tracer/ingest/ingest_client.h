// The tracer's stream to the backend: sends what is given, in order, until it is acknowledged as durable, through any
// number of broken connections and backend restarts. Thread-safe; Send never blocks. Two threads of its own, so that a
// backend that reads slowly never holds up its acknowledgements.
//
// What does not fit the spool is refused at once and the caller counts it; nothing accepted is ever dropped while this
// process lives.

#ifndef SERVICES_TRACER_INGEST_INGEST_CLIENT_H_
#define SERVICES_TRACER_INGEST_INGEST_CLIENT_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/log/logger.h"
#include "common/metrics/registry.h"
#include "flightrec/ingest/v1/ingest.grpc.pb.h"
#include "services/tracer/ingest/spool.h"

namespace flightrec::tracer {

inline constexpr absl::Duration kFirstRetryDelay = absl::Milliseconds(20);
inline constexpr absl::Duration kMaxRetryDelay = absl::Seconds(1);

struct IngestClientOptions {
  // Unique among producers; a ULID.
  std::string producer_id;
  uint64_t producer_epoch = 1;
  uint64_t spool_bytes = 0;
  // For errors: where the channel goes.
  std::string backend;
};

class IngestClient {
 public:
  // `clock`, `logger` and `registry` outlive the client.
  IngestClient(std::shared_ptr<grpc::Channel> channel, IngestClientOptions options, clock::Clock* clock,
               log::Logger* logger, metrics::Registry* registry);
  // Forgets what is not acknowledged: Flush first.
  ~IngestClient();

  // False: the spool is full and the item is not kept.
  bool Send(ingest::v1::Item item);

  // Waits until everything sent before is durable. DEADLINE_EXCEEDED says how much is not and why.
  absl::Status Flush(absl::Duration timeout);

  struct Progress {
    uint64_t spool_bytes = 0;
    uint64_t durable_bytes = 0;
    // Items the backend will never take; the first one's error is in the log.
    uint64_t rejected = 0;
  };
  Progress progress();

 private:
  using Stream = grpc::ClientReaderWriterInterface<ingest::v1::SessionRequest, ingest::v1::SessionResponse>;

  void Run();
  // One connection from Hello to its end.
  grpc::Status RunSession();
  bool Greet(Stream& stream);
  void WriteBatches(Stream& stream);
  void ReadAnswers(Stream& stream);
  void Take(const ingest::v1::SessionResponse& response);
  bool CanWrite() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // False when the client is being destroyed.
  bool WaitToRetry(absl::Duration delay);

  const std::unique_ptr<ingest::v1::IngestService::StubInterface> stub_;
  const IngestClientOptions options_;
  clock::Clock* const clock_;
  log::Logger* const logger_;
  metrics::Gauge& spool_gauge_;
  metrics::Counter& reconnects_;
  metrics::Counter& rejections_;

  absl::Mutex mutex_;
  Spool spool_ ABSL_GUARDED_BY(mutex_);
  uint64_t credit_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  bool greeted_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::string last_error_ ABSL_GUARDED_BY(mutex_);

  absl::BitGen random_;  // the writer's thread only
  std::thread writer_;
};

}  // namespace flightrec::tracer

#endif  // SERVICES_TRACER_INGEST_INGEST_CLIENT_H_
