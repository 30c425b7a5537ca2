#include "services/tracer/ingest/fake_backend.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"

namespace flightrec::ingest {

FakeBackend::FakeBackend() {
  // Finds a free port, which Start then takes again.
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  v1::IngestService::Service nothing;
  builder.RegisterService(&nothing);
  builder.BuildAndStart()->Shutdown();
  address_ = absl::StrCat("127.0.0.1:", port);
}

FakeBackend::~FakeBackend() { Stop(); }

void FakeBackend::Start() {
  grpc::ServerBuilder builder;
  builder.AddListeningPort(address_, grpc::InsecureServerCredentials());
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
}

void FakeBackend::Stop() {
  if (server_ == nullptr) return;
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
  server_.reset();
}

void FakeBackend::ForgetEverything() {
  absl::MutexLock lock(&mutex_);
  names_.clear();
  durable_ = 0;
  epoch_ = 0;
}

std::shared_ptr<grpc::Channel> FakeBackend::MakeChannel() const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 10);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 10);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 20);
  return grpc::CreateCustomChannel(address_, grpc::InsecureChannelCredentials(), arguments);
}

void FakeBackend::BreakBehindNextBatch() {
  absl::MutexLock lock(&mutex_);
  break_ = true;
}

void FakeBackend::HoldAcks() {
  absl::MutexLock lock(&mutex_);
  hold_ = true;
}

void FakeBackend::ReleaseAcks() {
  absl::MutexLock lock(&mutex_);
  hold_ = false;
  if (stream_ != nullptr) Acknowledge(in_flight_, *stream_);
}

void FakeBackend::RejectNextBatch() {
  absl::MutexLock lock(&mutex_);
  reject_ = true;
}

void FakeBackend::AcknowledgeAhead(uint64_t ahead) {
  absl::MutexLock lock(&mutex_);
  ahead_ = ahead;
}

void FakeBackend::SetCredit(uint64_t bytes) {
  absl::MutexLock lock(&mutex_);
  credit_ = bytes;
}

std::vector<std::string> FakeBackend::names() const {
  absl::MutexLock lock(&mutex_);
  return names_;
}

void FakeBackend::AwaitBatches(uint64_t count) {
  const auto arrived = [&] {
    mutex_.AssertReaderHeld();
    return batches_ >= count;
  };
  absl::MutexLock lock(&mutex_, absl::Condition(&arrived));
}

uint64_t FakeBackend::duplicates() const {
  absl::MutexLock lock(&mutex_);
  return duplicates_;
}

uint64_t FakeBackend::epoch() const {
  absl::MutexLock lock(&mutex_);
  return epoch_;
}

uint64_t FakeBackend::hellos() const {
  absl::MutexLock lock(&mutex_);
  return hellos_;
}

uint64_t FakeBackend::most_bytes_in_flight() const {
  absl::MutexLock lock(&mutex_);
  return most_in_flight_;
}

grpc::Status FakeBackend::Session(grpc::ServerContext*, Stream* stream) {
  v1::SessionRequest request;
  if (!stream->Read(&request) || !request.has_hello()) {
    return {grpc::StatusCode::FAILED_PRECONDITION, "the first frame must be Hello"};
  }
  absl::MutexLock lock(&mutex_);
  bool go_on = Welcome(request.hello(), *stream);
  while (go_on) {
    mutex_.Unlock();
    const bool read = stream->Read(&request);
    mutex_.Lock();
    if (!read) break;
    if (request.has_batch()) go_on = Keep(request.batch(), *stream);
  }
  stream_ = nullptr;
  return go_on ? grpc::Status() : grpc::Status(grpc::StatusCode::UNAVAILABLE, "told to break");
}

bool FakeBackend::Welcome(const v1::Hello& hello, Stream& stream) {
  ++hellos_;
  if (hello.producer_epoch() != epoch_) durable_ = 0;
  epoch_ = hello.producer_epoch();
  in_flight_ = 0;
  stream_ = &stream;
  v1::SessionResponse response;
  response.mutable_welcome()->set_durable_sequence(durable_);
  response.mutable_welcome()->set_credit_bytes(credit_);
  response.mutable_welcome()->set_max_batch_bytes(uint64_t{1} << 20);
  return stream.Write(response);
}

bool FakeBackend::Keep(const v1::Batch& batch, Stream& stream) {
  ++batches_;
  const uint64_t bytes = batch.ByteSizeLong();
  in_flight_ += bytes;
  most_in_flight_ = std::max(most_in_flight_, in_flight_);
  if (batch.sequence() <= durable_) {
    ++duplicates_;
    return Acknowledge(bytes, stream);
  }
  if (batch.sequence() != durable_ + 1) return false;
  ++durable_;
  if (std::exchange(reject_, false)) {
    v1::SessionResponse response;
    response.mutable_rejection()->set_sequence(batch.sequence());
    response.mutable_rejection()->mutable_status()->set_code(3);
    response.mutable_rejection()->mutable_status()->set_message("told to reject");
    stream.Write(response);
  } else {
    for (const v1::Item& item : batch.items()) names_.push_back(item.recording().name());
  }
  if (std::exchange(break_, false)) return false;
  return hold_ || Acknowledge(bytes, stream);
}

bool FakeBackend::Acknowledge(uint64_t bytes, Stream& stream) {
  in_flight_ -= bytes;
  v1::SessionResponse response;
  response.mutable_ack()->set_durable_sequence(durable_ + std::exchange(ahead_, 0));
  response.mutable_ack()->set_credit_bytes(bytes);
  return stream.Write(response);
}

}  // namespace flightrec::ingest
