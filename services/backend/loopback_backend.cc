#include "services/backend/loopback_backend.h"

#include <chrono>
#include <utility>

#include "services/backend/store/blocking_store.h"

namespace flightrec::backend {
namespace {

constexpr std::chrono::seconds kStreamDeadline{30};

}  // namespace

BackendConfig TestConfig() {
  BackendConfig config;
  config.server.listen = "127.0.0.1:0";
  return config;
}

LoopbackBackend::LoopbackBackend(BackendConfig config) : logger_("backend", log::Level::kError) {
  if (config.store_directory.empty()) config.store_directory = MakeStoreDirectory();
  directory_ = config.store_directory;
  server_ = BackendServer::Start(Finalize(config).value(), &logger_, &registry_).value();
  const auto channel = grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials());
  ingest_ = ingest::v1::IngestService::NewStub(channel);
  read_ = read::v1::ReadService::NewStub(channel);
}

TestProducer::TestProducer(LoopbackBackend& backend) {
  context_.set_deadline(std::chrono::system_clock::now() + kStreamDeadline);
  stream_ = backend.ingest().Session(&context_);
}

TestProducer::~TestProducer() {
  if (finished_) return;
  context_.TryCancel();
  Finish();
}

void TestProducer::SendHello(uint64_t epoch, const std::string& producer) {
  ingest::v1::SessionRequest request;
  request.mutable_hello()->set_producer_id(producer);
  request.mutable_hello()->set_producer_epoch(epoch);
  stream_->Write(request);
}

ingest::v1::Welcome TestProducer::Greet(uint64_t epoch, const std::string& producer) {
  SendHello(epoch, producer);
  ingest::v1::SessionResponse response = Next();
  if (!response.has_welcome()) std::abort();
  return std::move(*response.mutable_welcome());
}

void TestProducer::Send(const ingest::v1::Batch& batch) {
  ingest::v1::SessionRequest request;
  *request.mutable_batch() = batch;
  stream_->Write(request);
}

void TestProducer::SendFlush(uint64_t token) {
  ingest::v1::SessionRequest request;
  request.mutable_flush()->set_token(token);
  stream_->Write(request);
}

ingest::v1::SessionResponse TestProducer::Next() {
  ingest::v1::SessionResponse response;
  if (!stream_->Read(&response)) return {};
  return response;
}

grpc::Status TestProducer::Finish() {
  finished_ = true;
  stream_->WritesDone();
  ingest::v1::SessionResponse ignored;
  while (stream_->Read(&ignored)) {
  }
  return stream_->Finish();
}

}  // namespace flightrec::backend
