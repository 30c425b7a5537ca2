// The tracer's stream to the backend: keeps what is to be kept until the backend says that it is
// on disk, reconnects as long as it takes, and sends again what was not acknowledged.
//
// Thread-safe; owns one thread that writes to the stream and, while connected, one that reads.
// Offer and Send never block. Beyond the spool's limit the newest items are refused: what was
// recorded first is kept whole, and the caller counts what it could not hand over. Does not survive
// its process: what is not acknowledged then is lost.
#ifndef SERVICES_TRACER_INGEST_INGEST_CLIENT_H_
#define SERVICES_TRACER_INGEST_INGEST_CLIENT_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/random/bit_gen_ref.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock/clock.h"
#include "common/ids/ulid.h"
#include "common/log/logger.h"
#include "flightrec/ingest/v1/ingest.grpc.pb.h"
#include "services/tracer/ingest/backoff.h"
#include "services/tracer/ingest/spool.h"

namespace flightrec::ingest {

// Above the spool's limit, for Send.
inline constexpr uint64_t kReservedSpoolBytes = uint64_t{16} << 20;
// Of as many recordings it is remembered how much of them was rejected.
inline constexpr size_t kMaxRejectedRecordings = 1000;

struct IngestOptions {
  // Names this producer for its whole life; a ULID does.
  std::string producer_id;
  uint64_t spool_bytes = uint64_t{256} << 20;
  // An offered item waits this long for others to share a batch with, or until batch_bytes wait.
  // Sending one alone costs more than making it did.
  absl::Duration batch_delay = absl::Milliseconds(50);
  uint64_t batch_bytes = uint64_t{512} << 10;
  BackoffLimits backoff;
  // How long the backend may take to answer Hello.
  absl::Duration welcome_timeout = absl::Seconds(10);
};

struct IngestStats {
  bool connected = false;
  uint64_t connects = 0;
  // Not on the backend's disk yet.
  uint64_t spool_items = 0;
  uint64_t spool_bytes = 0;
  // On the backend's disk.
  uint64_t durable_items = 0;
  uint64_t durable_bytes = 0;
  // Refused by Offer and Send, because there was no room.
  uint64_t refused_items = 0;
  // In batches that the backend refused for what they are.
  uint64_t rejected_items = 0;
  // How often the backend turned out to have forgotten what it had acknowledged.
  uint64_t backend_losses = 0;
  // Why the last stream ended or a batch was rejected; OK if neither has happened.
  absl::Status last_error;
};

class IngestClient {
 public:
  // What is passed by reference must outlive the client; `random` is used by its thread only.
  IngestClient(std::unique_ptr<v1::IngestService::StubInterface> stub, IngestOptions options,
               clock::Clock& clock, absl::BitGenRef random, log::Logger& logger);
  // Gives up what is not acknowledged: Flush first.
  ~IngestClient();
  IngestClient(const IngestClient&) = delete;
  IngestClient& operator=(const IngestClient&) = delete;

  // False when the spool is full; the item is dropped then.
  bool Offer(const ids::Ulid& recording, v1::Item item) {
    return OfferNumbered(recording, std::move(item)) != 0;
  }
  // The same. Returns the item's number, 0 when it was dropped: it is durable when
  // IngestStats::durable_items is as high.
  uint64_t OfferNumbered(const ids::Ulid& recording, v1::Item item);

  // With a reserve above the limit, for what must not be missing: names, states, final chunks.
  // RESOURCE_EXHAUSTED when that is used up too; the item is dropped then.
  absl::Status Send(const ids::Ulid& recording, v1::Item item);

  // Waits until everything handed over before is on the backend's disk. DEADLINE_EXCEEDED says how
  // much is not, and why the last stream ended if one did.
  absl::Status Flush(absl::Duration timeout);

  IngestStats Stats() const;
  // Items of this recording in batches that the backend refused for what they are, since the last
  // time.
  uint64_t TakeRejected(const ids::Ulid& recording);

 private:
  using Stream = grpc::ClientReaderWriterInterface<v1::SessionRequest, v1::SessionResponse>;

  void Run();
  // From Hello until the stream ends.
  absl::Status RunSession();
  bool AwaitWelcome();
  void WriteFrames(Stream& stream);
  void ReadFrames(Stream& stream);
  void Handle(const v1::SessionResponse& response) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void HandleWelcome(const v1::Welcome& welcome) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void HandleRejection(const v1::Rejection& rejection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void HandleDurable(uint64_t sequence) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends the stream because the backend broke the protocol or has lost data.
  void EndStream(absl::Status why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool WorthSending() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool WelcomedOrEnded() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::unique_ptr<v1::IngestService::StubInterface> stub_;
  const IngestOptions options_;
  clock::Clock& clock_;
  absl::BitGenRef random_;
  log::Logger& logger_;
  Backoff backoff_;  // of the writing thread

  mutable absl::Mutex mutex_;
  Spool spool_ ABSL_GUARDED_BY(mutex_);
  IngestStats stats_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<ids::Ulid, uint64_t> rejected_ ABSL_GUARDED_BY(mutex_);
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t epoch_ ABSL_GUARDED_BY(mutex_) = 1;
  int flushing_ ABSL_GUARDED_BY(mutex_) = 0;
  // Something waits that came by Send and so is not kept for a batch.
  bool urgent_ ABSL_GUARDED_BY(mutex_) = false;
  // Of the current stream.
  grpc::ClientContext* context_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool flush_sent_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status end_reason_ ABSL_GUARDED_BY(mutex_);
  uint64_t credit_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t max_batch_bytes_ ABSL_GUARDED_BY(mutex_) = 0;

  std::thread thread_;
};

}  // namespace flightrec::ingest

#endif  // SERVICES_TRACER_INGEST_INGEST_CLIENT_H_
