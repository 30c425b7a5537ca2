// A backend in the test's process, behind a real port: keeps items in memory across restarts of
// its server, and misbehaves as told.
//
// Thread-safe. Keeps one producer.
#ifndef SERVICES_TRACER_INGEST_FAKE_BACKEND_H_
#define SERVICES_TRACER_INGEST_FAKE_BACKEND_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "flightrec/ingest/v1/ingest.grpc.pb.h"

namespace flightrec::ingest {

class FakeBackend final : public v1::IngestService::Service {
 public:
  FakeBackend();
  ~FakeBackend() override;

  // On the same port each time.
  void Start();
  // Cuts every stream.
  void Stop();
  // As if the store had been replaced by an empty one.
  void ForgetEverything();

  std::shared_ptr<grpc::Channel> MakeChannel() const;

  // Ends the stream behind the next batch, which is kept but not acknowledged.
  void BreakBehindNextBatch();
  // Batches are kept but not acknowledged until ReleaseAcks.
  void HoldAcks();
  void ReleaseAcks();
  void RejectNextBatch();
  // The next acknowledgement is `ahead` sequences too high.
  void AcknowledgeAhead(uint64_t ahead);
  void SetCredit(uint64_t bytes);

  // Recording names in the order in which they became durable.
  std::vector<std::string> names() const;
  void AwaitBatches(uint64_t count);
  uint64_t duplicates() const;
  uint64_t epoch() const;
  uint64_t hellos() const;
  // Of batches received and not acknowledged, at their largest.
  uint64_t most_bytes_in_flight() const;

 private:
  using Stream = grpc::ServerReaderWriter<v1::SessionResponse, v1::SessionRequest>;

  grpc::Status Session(grpc::ServerContext* context, Stream* stream) override;
  // Each returns false when the stream is to end.
  bool Welcome(const v1::Hello& hello, Stream& stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Keep(const v1::Batch& batch, Stream& stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Acknowledge(uint64_t bytes, Stream& stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  std::string address_;
  std::unique_ptr<grpc::Server> server_;

  mutable absl::Mutex mutex_;
  std::vector<std::string> names_ ABSL_GUARDED_BY(mutex_);
  uint64_t durable_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t epoch_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t hellos_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t batches_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t duplicates_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t credit_ ABSL_GUARDED_BY(mutex_) = uint64_t{8} << 20;
  uint64_t in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t most_in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t ahead_ ABSL_GUARDED_BY(mutex_) = 0;
  bool break_ ABSL_GUARDED_BY(mutex_) = false;
  bool hold_ ABSL_GUARDED_BY(mutex_) = false;
  bool reject_ ABSL_GUARDED_BY(mutex_) = false;
  // Of the current stream, for late acknowledgements.
  Stream* stream_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace flightrec::ingest

#endif  // SERVICES_TRACER_INGEST_FAKE_BACKEND_H_
