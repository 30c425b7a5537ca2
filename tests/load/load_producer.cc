#include "tests/load/load_producer.h"

#include <cstdlib>
#include <iostream>

#include "absl/time/clock.h"

namespace flightrec::load {
namespace {

constexpr char kMethod[] = "/flightrec.ingest.v1.IngestService/Session";

[[noreturn]] void Fail(const std::string& message) {
  std::cerr << "load: " << message << "\n";
  std::_Exit(1);
}

}  // namespace

LoadProducer::LoadProducer(const std::shared_ptr<grpc::Channel>& channel,
                           const std::string& producer_id) {
  // As a generated stub does it, with the bytes as they are.
  const grpc::internal::RpcMethod method(kMethod, grpc::internal::RpcMethod::BIDI_STREAMING,
                                         channel);
  using Factory =
      grpc::internal::ClientReaderWriterFactory<grpc::ByteBuffer, ingest::v1::SessionResponse>;
  stream_.reset(Factory::Create(channel.get(), method, &context_));
  reader_ = std::thread([this] { ReadAnswers(); });
  stream_->Write(MakeHello(producer_id));
}

LoadProducer::~LoadProducer() {
  stream_->WritesDone();
  reader_.join();
  const grpc::Status status = stream_->Finish();
  if (!status.ok()) Fail("the stream ended: " + status.error_message());
}

void LoadProducer::Greet(const PreparedBatch& first) {
  WriteBatch(first);
  WaitUntilDurable();
  latencies_.clear();
}

void LoadProducer::Send(const std::vector<PreparedBatch>& batches, double calls_per_second) {
  const absl::Time begin = absl::Now();
  double calls = 0;
  for (const PreparedBatch& batch : batches) {
    if (calls_per_second > 0) {
      absl::SleepFor(begin + absl::Seconds(calls / calls_per_second) - absl::Now());
    }
    WriteBatch(batch);
    calls += static_cast<double>(batch.calls);
  }
  WaitUntilDurable();
}

void LoadProducer::WriteBatch(const PreparedBatch& batch) {
  const auto bytes = static_cast<int64_t>(batch.batch_bytes);
  const auto has_credit = [this, bytes]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return welcomed_ && credit_ >= bytes;
  };
  {
    absl::MutexLock lock(&mutex_, absl::Condition(&has_credit));
    credit_ -= bytes;
    sent_.push_back(absl::Now());
    ++sent_batches_;
  }
  if (!stream_->Write(batch.frame)) Fail("a batch was not taken: the stream has ended");
}

void LoadProducer::WaitUntilDurable() {
  const auto is_durable = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return durable_ >= sent_batches_;
  };
  absl::MutexLock lock(&mutex_, absl::Condition(&is_durable));
  const uint64_t first = sent_batches_ - sent_.size();
  for (size_t i = 0; i < sent_.size(); ++i) {
    latencies_.push_back(absl::ToDoubleSeconds(durable_at_.at(first + i) - sent_[i]));
  }
  sent_.clear();
  durable_at_.clear();
}

void LoadProducer::ReadAnswers() {
  ingest::v1::SessionResponse response;
  while (stream_->Read(&response)) {
    if (response.has_rejection()) Fail("a batch was rejected: " + response.ShortDebugString());
    absl::MutexLock lock(&mutex_);
    if (response.has_welcome()) {
      welcomed_ = true;
      credit_ = static_cast<int64_t>(response.welcome().credit_bytes());
    } else if (response.has_ack()) {
      const absl::Time now = absl::Now();
      while (durable_ < response.ack().durable_sequence()) durable_at_[durable_++] = now;
      credit_ += static_cast<int64_t>(response.ack().credit_bytes());
    }
  }
  absl::MutexLock lock(&mutex_);
  if (durable_ < sent_batches_) Fail("the stream ended before all was durable");
}

}  // namespace flightrec::load
