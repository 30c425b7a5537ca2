// A backend on a free loopback port, and clients of it, for tests.
//
// Not thread-safe.
#ifndef SERVICES_BACKEND_LOOPBACK_BACKEND_H_
#define SERVICES_BACKEND_LOOPBACK_BACKEND_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <memory>
#include <string>

#include "common/log/logger.h"
#include "common/metrics/registry.h"
#include "flightrec/ingest/v1/ingest.grpc.pb.h"
#include "flightrec/read/v1/read.grpc.pb.h"
#include "services/backend/backend_config.h"
#include "services/backend/backend_server.h"

namespace flightrec::backend {

// Without an address or store: Start fills them.
BackendConfig TestConfig();

class LoopbackBackend {
 public:
  // A fresh store unless `config` names one. Aborts the test program when it does not start.
  explicit LoopbackBackend(BackendConfig config = TestConfig());

  BackendServer& server() { return *server_; }
  const std::string& directory() const { return directory_; }
  std::string metrics() const { return registry_.Exposition(); }

  ingest::v1::IngestService::Stub& ingest() { return *ingest_; }
  read::v1::ReadService::Stub& read() { return *read_; }

 private:
  log::Logger logger_;
  metrics::Registry registry_;
  std::string directory_;
  std::unique_ptr<BackendServer> server_;
  std::unique_ptr<ingest::v1::IngestService::Stub> ingest_;
  std::unique_ptr<read::v1::ReadService::Stub> read_;
};

// A producer's stream that writes a frame and waits for answers.
class TestProducer {
 public:
  explicit TestProducer(LoopbackBackend& backend);
  ~TestProducer();

  void SendHello(uint64_t epoch = 1, const std::string& producer = "p");
  // Returns the Welcome; aborts the test program when something else comes.
  ingest::v1::Welcome Greet(uint64_t epoch = 1, const std::string& producer = "p");
  void Send(const ingest::v1::Batch& batch);
  void SendFlush(uint64_t token);
  // The next frame; empty when the stream has ended.
  ingest::v1::SessionResponse Next();
  // Ends the stream from this side, or learns how the other one did.
  grpc::Status Finish();

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<ingest::v1::SessionRequest, ingest::v1::SessionResponse>>
      stream_;
  bool finished_ = false;
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_LOOPBACK_BACKEND_H_
