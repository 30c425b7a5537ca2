#include "services/tracer/ingest/ingest_client.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace flightrec::ingest {
namespace {

absl::Status ToAbsl(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace

IngestClient::IngestClient(std::unique_ptr<v1::IngestService::StubInterface> stub,
                           IngestOptions options, clock::Clock& clock, absl::BitGenRef random,
                           log::Logger& logger)
    : stub_(std::move(stub)),
      options_(std::move(options)),
      clock_(clock),
      random_(random),
      logger_(logger),
      backoff_(options_.backoff),
      thread_([this] { Run(); }) {}

IngestClient::~IngestClient() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
    if (context_ != nullptr) context_->TryCancel();
  }
  thread_.join();
}

uint64_t IngestClient::OfferNumbered(const ids::Ulid& recording, v1::Item item) {
  absl::MutexLock lock(&mutex_);
  if (spool_.Append(recording, std::move(item), options_.spool_bytes))
    return spool_.appended_items();
  ++stats_.refused_items;
  return 0;
}

absl::Status IngestClient::Send(const ids::Ulid& recording, v1::Item item) {
  absl::MutexLock lock(&mutex_);
  const uint64_t limit = options_.spool_bytes + kReservedSpoolBytes;
  if (spool_.Append(recording, std::move(item), limit)) {
    urgent_ = true;
    return absl::OkStatus();
  }
  ++stats_.refused_items;
  return absl::ResourceExhaustedError(
      absl::StrCat("the spool holds ", spool_.bytes(), " bytes, its limit with reserve is ", limit,
                   ": check that the backend is reachable, or raise the limit"));
}

absl::Status IngestClient::Flush(absl::Duration timeout) {
  struct Goal {
    const Spool& spool;
    uint64_t items;
    static bool Reached(Goal* goal) { return goal->spool.durable_items() >= goal->items; }
  };
  absl::MutexLock lock(&mutex_);
  Goal goal = {spool_, spool_.appended_items()};
  ++flushing_;
  flush_sent_ = false;
  const bool reached =
      clock_.AwaitWithTimeout(mutex_, absl::Condition(&Goal::Reached, &goal), timeout);
  --flushing_;
  if (reached) return absl::OkStatus();
  std::string message = absl::StrCat(
      goal.items - spool_.durable_items(), " items of the ", spool_.bytes(),
      " bytes in the spool are not on the backend's disk after ", absl::FormatDuration(timeout));
  if (!stats_.connected) absl::StrAppend(&message, "; there is no connection to the backend");
  if (!stats_.last_error.ok()) {
    absl::StrAppend(&message, "; last error: ", stats_.last_error.ToString());
  }
  return absl::DeadlineExceededError(message);
}

IngestStats IngestClient::Stats() const {
  absl::MutexLock lock(&mutex_);
  IngestStats stats = stats_;
  stats.spool_items = spool_.items();
  stats.spool_bytes = spool_.bytes();
  stats.durable_items = spool_.durable_items();
  stats.durable_bytes = spool_.durable_bytes();
  return stats;
}

uint64_t IngestClient::TakeRejected(const ids::Ulid& recording) {
  absl::MutexLock lock(&mutex_);
  const auto found = rejected_.find(recording);
  if (found == rejected_.end()) return 0;
  const uint64_t items = found->second;
  rejected_.erase(found);
  return items;
}

void IngestClient::Run() {
  while (true) {
    const absl::Status end = RunSession();
    absl::MutexLock lock(&mutex_);
    if (stop_) return;
    // The first failure of a row; the next ones say the same.
    if (stats_.connected || stats_.last_error.code() != end.code()) {
      logger_.Warning("ingest_stream_ended", {{"status", end}, {"spool_bytes", spool_.bytes()}});
    }
    if (stats_.connected) backoff_.Reset();
    stats_.connected = false;
    stats_.last_error = end;
    clock_.AwaitWithTimeout(mutex_, absl::Condition(&stop_), backoff_.Next(random_));
    if (stop_) return;
  }
}

absl::Status IngestClient::RunSession() {
  grpc::ClientContext context;
  v1::SessionRequest hello;
  {
    absl::MutexLock lock(&mutex_);
    if (stop_) return absl::CancelledError("the client is being destroyed");
    context_ = &context;
    ended_ = false;
    flush_sent_ = false;
    end_reason_ = absl::OkStatus();
    hello.mutable_hello()->set_producer_id(options_.producer_id);
    hello.mutable_hello()->set_producer_epoch(epoch_);
  }
  const std::unique_ptr<Stream> stream = stub_->Session(&context);
  stream->Write(hello);
  std::thread reader([&] { ReadFrames(*stream); });
  if (AwaitWelcome()) WriteFrames(*stream);
  context.TryCancel();
  reader.join();
  const absl::Status finished = ToAbsl(stream->Finish());

  absl::MutexLock lock(&mutex_);
  context_ = nullptr;
  return end_reason_.ok() ? finished : end_reason_;
}

bool IngestClient::AwaitWelcome() {
  absl::MutexLock lock(&mutex_);
  clock_.AwaitWithTimeout(mutex_, absl::Condition(this, &IngestClient::WelcomedOrEnded),
                          options_.welcome_timeout);
  if (!stats_.connected && !ended_) {
    EndStream(absl::DeadlineExceededError(absl::StrCat(
        "the backend did not answer Hello for ", absl::FormatDuration(options_.welcome_timeout))));
  }
  return stats_.connected && !ended_;
}

void IngestClient::WriteFrames(Stream& stream) {
  while (true) {
    Spool::Frame frame;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &IngestClient::HasWork));
      clock_.AwaitWithTimeout(mutex_, absl::Condition(this, &IngestClient::WorthSending),
                              options_.batch_delay);
      if (stop_ || ended_) return;
      urgent_ = false;
      frame = spool_.NextFrame(max_batch_bytes_, credit_bytes_);
      if (frame == nullptr) {
        auto flush = std::make_shared<v1::SessionRequest>();
        flush->mutable_flush()->set_token(1);
        frame = std::move(flush);
        flush_sent_ = true;
      }
    }
    if (!stream.Write(*frame)) return;
  }
}

void IngestClient::ReadFrames(Stream& stream) {
  v1::SessionResponse response;
  while (stream.Read(&response)) {
    absl::MutexLock lock(&mutex_);
    if (!ended_) Handle(response);
  }
  absl::MutexLock lock(&mutex_);
  ended_ = true;
}

void IngestClient::Handle(const v1::SessionResponse& response) {
  switch (response.frame_case()) {
    case v1::SessionResponse::kWelcome:
      HandleWelcome(response.welcome());
      return;
    case v1::SessionResponse::kAck:
      credit_bytes_ += response.ack().credit_bytes();
      HandleDurable(response.ack().durable_sequence());
      return;
    case v1::SessionResponse::kFlushed:
      HandleDurable(response.flushed().durable_sequence());
      return;
    case v1::SessionResponse::kRejection:
      HandleRejection(response.rejection());
      return;
    case v1::SessionResponse::FRAME_NOT_SET:
      return;  // of a newer backend; not needed to go on
  }
}

void IngestClient::HandleWelcome(const v1::Welcome& welcome) {
  if (stats_.connected) {
    EndStream(absl::InternalError("the backend sent a second Welcome"));
    return;
  }
  const uint64_t durable = welcome.durable_sequence();
  const uint64_t acknowledged = spool_.acknowledged_sequence();
  if (durable < acknowledged || !spool_.Acknowledge(durable)) {
    ++stats_.backend_losses;
    ++epoch_;
    spool_.Renumber();
    logger_.Error("backend_forgot", {{"backend_durable_sequence", durable},
                                     {"acknowledged_sequence", acknowledged},
                                     {"new_epoch", epoch_}});
    EndStream(absl::DataLossError(absl::StrCat(
        "the backend says that sequence ", durable, " is durable, it had acknowledged ",
        acknowledged, ": it has another store; going on with epoch ", epoch_)));
    return;
  }
  spool_.Rewind();
  credit_bytes_ = welcome.credit_bytes();
  max_batch_bytes_ = welcome.max_batch_bytes();
  stats_.connected = true;
  ++stats_.connects;
  logger_.Info("ingest_connected",
               {{"durable_sequence", durable}, {"spool_bytes", spool_.bytes()}});
}

void IngestClient::HandleDurable(uint64_t sequence) {
  if (spool_.Acknowledge(sequence)) return;
  EndStream(absl::InternalError(
      absl::StrCat("the backend acknowledged sequence ", sequence, ", which was not sent")));
}

void IngestClient::HandleRejection(const v1::Rejection& rejection) {
  const uint64_t items = spool_.ItemsOf(rejection.sequence());
  stats_.rejected_items += items;
  const ids::Ulid recording = spool_.RecordingOf(rejection.sequence());
  if (rejected_.size() < kMaxRejectedRecordings || rejected_.contains(recording))
    rejected_[recording] += items;
  stats_.last_error = absl::Status(static_cast<absl::StatusCode>(rejection.status().code()),
                                   rejection.status().message());
  logger_.Error("batch_rejected", {{"sequence", rejection.sequence()},
                                   {"recording", recording.ToString()},
                                   {"item", rejection.item()},
                                   {"status", stats_.last_error}});
}

void IngestClient::EndStream(absl::Status why) {
  end_reason_ = std::move(why);
  ended_ = true;
  context_->TryCancel();
}

bool IngestClient::HasWork() const {
  if (stop_ || ended_ || spool_.CanSend(credit_bytes_)) return true;
  return flushing_ > 0 && !flush_sent_ && !spool_.HasUnsent();
}

bool IngestClient::WorthSending() const {
  return stop_ || ended_ || urgent_ || flushing_ > 0 || spool_.HasUnsentBatch() ||
         spool_.waiting_bytes() >= options_.batch_bytes;
}

bool IngestClient::WelcomedOrEnded() const { return stats_.connected || ended_ || stop_; }

}  // namespace flightrec::ingest
