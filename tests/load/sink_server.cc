#include "tests/load/sink_server.h"

#include <cstdint>
#include <cstdlib>
#include <iostream>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "flightrec/ingest/v1/ingest.pb.h"

namespace flightrec::load {
namespace {

constexpr uint64_t kEndlessCredit = uint64_t{1} << 50;
constexpr int kMaxMessageBytes = 4 << 20;

// The first frame is Hello, every other one a batch.
class SinkReactor : public grpc::ServerGenericBidiReactor {
 public:
  SinkReactor() { StartRead(&request_); }

  void OnReadDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    if (!ok) {
      ended_ = true;
      if (!writing_) Finish(grpc::Status::OK);
      return;
    }
    ++frames_;
    StartRead(&request_);
    if (!writing_) Answer();
  }

  void OnWriteDone(bool /*ok*/) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (ended_) {
      Finish(grpc::Status::OK);
    } else if (answered_ < frames_) {
      Answer();
    }
  }

  void OnDone() override { delete this; }

 private:
  void Answer() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ingest::v1::SessionResponse response;
    if (answered_ == 0) {
      response.mutable_welcome()->set_credit_bytes(kEndlessCredit);
      answered_ = 1;
    } else {
      answered_ = frames_;
      response.mutable_ack()->set_durable_sequence(answered_ - 1);
    }
    grpc::Slice slice(response.SerializeAsString());
    response_ = grpc::ByteBuffer(&slice, 1);
    writing_ = true;
    StartWrite(&response_);
  }

  grpc::ByteBuffer request_;
  grpc::ByteBuffer response_;
  absl::Mutex mutex_;
  uint64_t frames_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t answered_ ABSL_GUARDED_BY(mutex_) = 0;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

grpc::ServerGenericBidiReactor* SinkServer::Service::CreateReactor(
    grpc::GenericCallbackServerContext* /*context*/) {
  return new SinkReactor();
}

SinkServer::SinkServer(const std::string& address) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials());
  builder.RegisterCallbackGenericService(&service_);
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) {
    std::cerr << "load: cannot listen on " << address << "\n";
    std::abort();
  }
}

SinkServer::~SinkServer() { server_->Shutdown(); }

}  // namespace flightrec::load
