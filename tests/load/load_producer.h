// One producer that sends prepared batches as fast as its credit, or a pace, allows and measures
// how long each takes until the acknowledgement that covers it.
//
// Greet and Send on one thread; a thread of its own reads answers. Aborts the program when the
// stream breaks: a measurement with a hole is none.
#ifndef TESTS_LOAD_LOAD_PRODUCER_H_
#define TESTS_LOAD_LOAD_PRODUCER_H_

#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/sync_stream.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "flightrec/ingest/v1/ingest.pb.h"
#include "tests/load/prepared_batches.h"

namespace flightrec::load {

class LoadProducer {
 public:
  LoadProducer(const std::shared_ptr<grpc::Channel>& channel, const std::string& producer_id);
  ~LoadProducer();

  // Sends one batch and waits until it is durable.
  void Greet(const PreparedBatch& first);
  // Sends `batches`, whose sequences go on from what was sent before, and waits until all are
  // durable. `calls_per_second`: the pace; 0: none.
  void Send(const std::vector<PreparedBatch>& batches, double calls_per_second);
  // The two halves of Send for one batch.
  void WriteBatch(const PreparedBatch& batch);
  void WaitUntilDurable();

  // Of all batches that were waited for, in seconds.
  const std::vector<double>& latencies() const { return latencies_; }

 private:
  using Stream = grpc::ClientReaderWriter<grpc::ByteBuffer, ingest::v1::SessionResponse>;

  void ReadAnswers();

  grpc::ClientContext context_;
  std::unique_ptr<Stream> stream_;
  // Only the sending thread uses it until all is durable.
  std::vector<double> latencies_;

  absl::Mutex mutex_;
  int64_t credit_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t sent_batches_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t durable_ ABSL_GUARDED_BY(mutex_) = 0;
  bool welcomed_ ABSL_GUARDED_BY(mutex_) = false;
  // When the last batches, not waited for yet, were handed to gRPC.
  std::vector<absl::Time> sent_ ABSL_GUARDED_BY(mutex_);
  // When they were acknowledged, by sequence minus 1.
  absl::flat_hash_map<uint64_t, absl::Time> durable_at_ ABSL_GUARDED_BY(mutex_);
  std::thread reader_;
};

}  // namespace flightrec::load

#endif  // TESTS_LOAD_LOAD_PRODUCER_H_
