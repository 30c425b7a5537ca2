// A ReadService in this process, for tests of what asks it: it holds what a
// test gives it and serves it on a free port of the loopback.
//
// Thread-safe. Pages hold everything; filters are ignored.
#ifndef SERVICES_QUERY_ENGINE_FAKE_BACKEND_H_
#define SERVICES_QUERY_ENGINE_FAKE_BACKEND_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/chunk/chunk.h"
#include "flightrec/read/v1/read.grpc.pb.h"
#include "flightrec/trace/v1/trace.pb.h"

namespace flightrec::query_engine {

class FakeBackend final : public read::v1::ReadService::Service {
 public:
  FakeBackend();
  ~FakeBackend() override;

  std::string address() const;
  // No answers from here on.
  void Stop();

  // A sealed recording; the newest is @latest.
  void AddRecording(const std::string& name);
  void SetState(const std::string& name, trace::v1::RecordingState state);
  void AddFunction(const std::string& recording, uint64_t id, const std::string& name);
  // Chunks of a thread one after the other.
  void AddChunk(const std::string& recording, const chunk::CallChunk& chunk);

  // How often all chunks of a recording were read.
  int full_reads() const;

  grpc::Status ListRecordings(grpc::ServerContext* context,
                              const read::v1::ListRecordingsRequest* request,
                              read::v1::ListRecordingsResponse* response) override;
  grpc::Status GetRecording(grpc::ServerContext* context,
                            const read::v1::GetRecordingRequest* request,
                            trace::v1::Recording* response) override;
  grpc::Status ListProcesses(grpc::ServerContext* context,
                             const read::v1::ListProcessesRequest* request,
                             read::v1::ListProcessesResponse* response) override;
  grpc::Status ListThreads(grpc::ServerContext* context,
                           const read::v1::ListThreadsRequest* request,
                           read::v1::ListThreadsResponse* response) override;
  grpc::Status StreamFunctions(
      grpc::ServerContext* context, const read::v1::StreamFunctionsRequest* request,
      grpc::ServerWriter<read::v1::StreamFunctionsResponse>* writer) override;
  grpc::Status StreamChunks(grpc::ServerContext* context,
                            const read::v1::StreamChunksRequest* request,
                            grpc::ServerWriter<read::v1::StreamChunksResponse>* writer) override;

 private:
  struct Held {
    trace::v1::Recording recording;
    std::vector<trace::v1::Function> functions;
    std::vector<std::string> chunks;
  };
  Held* Find(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::vector<Held> held_ ABSL_GUARDED_BY(mutex_);
  int full_reads_ ABSL_GUARDED_BY(mutex_) = 0;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace flightrec::query_engine

#endif  // SERVICES_QUERY_ENGINE_FAKE_BACKEND_H_
