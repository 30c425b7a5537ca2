#include "services/backend/ingest_session.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/rpc/status.h"
#include "services/backend/ingest_item.h"

namespace flightrec::backend {
namespace {

using ingest::v1::SessionRequest;
using ingest::v1::SessionResponse;

constexpr absl::Duration kRetryAfterFailedWrite = absl::Seconds(1);

// What the store says about a producer or a sequence, with what to do about it.
absl::Status Explain(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kFailedPrecondition:
      return rpc::WithReason(status, "OUT_OF_SEQUENCE",
                             "open a new session and go on after Welcome.durable_sequence");
    case absl::StatusCode::kAborted:
      return rpc::WithReason(status, "PRODUCER_FENCED",
                             "another process uses this producer_id: choose one of your own");
    case absl::StatusCode::kResourceExhausted:
      return rpc::WithRetryAfter(
          rpc::WithReason(status, "DISK_FULL", "free space where the store is, then reconnect"),
          kRetryAfterFailedWrite);
    case absl::StatusCode::kUnavailable:
      return rpc::WithRetryAfter(status, kRetryAfterFailedWrite);
    default:
      return status;
  }
}

const char* NextStep(RefusalReason reason) {
  switch (reason) {
    case RefusalReason::kBatchTooLarge:
      return "split the batch: Welcome.max_batch_bytes is the most";
    case RefusalReason::kChunkTooLarge:
    case RefusalReason::kItemTooLarge:
      return "send less in one item";
    case RefusalReason::kChunkUnknownVersion:
      return "update the backend before its tracers";
    case RefusalReason::kRecordingUnknown:
      return "send the recording's own item first";
    case RefusalReason::kTooManyRecordings:
      return "delete recordings, or let retention remove them: --retention_age, --retention_bytes";
    case RefusalReason::kRecordingSealed:
    case RefusalReason::kRecordingDeleted:
      return "start another recording";
    default:
      return "the producer is at fault: report what it sent";
  }
}

SessionResponse RejectionOf(uint64_t sequence, const Refusal& refusal) {
  const absl::Status status =
      rpc::WithReason(refusal.status, RefusalReasonName(refusal.reason), NextStep(refusal.reason));
  const grpc::Status wire = rpc::ToGrpcStatus(status);
  SessionResponse response;
  ingest::v1::Rejection& rejection = *response.mutable_rejection();
  rejection.set_sequence(sequence);
  rejection.set_item(refusal.item);
  // The details are a serialised google.rpc.Status; without any, its two fields say all.
  if (!rejection.mutable_status()->ParseFromString(wire.error_details()) ||
      rejection.status().code() == 0) {
    rejection.mutable_status()->set_code(wire.error_code());
    rejection.mutable_status()->set_message(wire.error_message());
  }
  return response;
}

absl::Status CheckHello(const SessionRequest& request) {
  if (!request.has_hello()) {
    return absl::FailedPreconditionError("the first frame must be Hello");
  }
  const std::string& id = request.hello().producer_id();
  if (id.empty() || id.size() > kMaxProducerIdBytes) {
    return rpc::InvalidField(
        "hello.producer_id",
        absl::StrCat("has ", id.size(), " bytes, must have 1 to ", kMaxProducerIdBytes));
  }
  return absl::OkStatus();
}

}  // namespace

IngestSession::IngestSession(std::string tenant, Limits limits, Dependencies dependencies,
                             std::function<void(IngestSession*)> on_done)
    : limits_(limits),
      dependencies_(dependencies),
      on_done_(std::move(on_done)),
      producer_{std::move(tenant), "", 0},
      credit_left_(limits.credit_bytes) {}

void IngestSession::Begin() {
  self_ = shared_from_this();
  absl::MutexLock lock(&mutex_);
  Advance();
}

void IngestSession::Close(const absl::Status& status) {
  absl::MutexLock lock(&mutex_);
  SetClosing(status);
  Advance();
}

void IngestSession::SetClosing(const absl::Status& status) {
  // An error of what is still under way wins over the producer's orderly end.
  if (!closing_.has_value() || closing_->ok()) closing_ = status;
}

void IngestSession::OnReadDone(bool ok) {
  bool closing;
  bool said_hello;
  {
    absl::MutexLock lock(&mutex_);
    // The client has said all, or has gone.
    if (!ok) SetClosing(absl::OkStatus());
    closing = closing_.has_value();
    said_hello = said_hello_;
  }
  if (!closing) HandleFrame(said_hello);
  absl::MutexLock lock(&mutex_);
  // Only now: the next frame goes where this one was.
  reading_ = false;
  Advance();
}

void IngestSession::HandleFrame(bool said_hello) {
  if (!said_hello) {
    HandleHello();
  } else if (request_.has_batch()) {
    HandleBatch(*request_.mutable_batch());
  } else if (request_.has_flush()) {
    HandleFlush(request_.flush().token());
  } else {
    Close(absl::InvalidArgumentError(request_.has_hello() ? "Hello was sent a second time"
                                                          : "a frame without contents"));
  }
}

void IngestSession::HandleHello() {
  if (absl::Status status = CheckHello(request_); !status.ok()) {
    Close(status);
    return;
  }
  Producer producer;
  {
    absl::MutexLock lock(&mutex_);
    said_hello_ = true;
    producer_.id = request_.hello().producer_id();
    producer_.epoch = request_.hello().producer_epoch();
    producer = producer_;
    // Counts as work under way: the stream does not end before its answer.
    ++batches_submitted_;
  }
  dependencies_.store->OpenProducer(
      std::move(producer), [self = shared_from_this()](absl::StatusOr<uint64_t> durable_sequence) {
        self->OnOpened(std::move(durable_sequence));
      });
}

void IngestSession::OnOpened(absl::StatusOr<uint64_t> durable_sequence) {
  absl::MutexLock lock(&mutex_);
  ++batches_completed_;
  if (!durable_sequence.ok()) {
    SetClosing(Explain(durable_sequence.status()));
  } else {
    durable_sequence_ = *durable_sequence;
    welcomed_ = true;
    dependencies_.logger->Info("session_opened", {{"producer", producer_.id},
                                                  {"tenant", producer_.tenant},
                                                  {"epoch", producer_.epoch},
                                                  {"durable_sequence", durable_sequence_}});
    SessionResponse response;
    ingest::v1::Welcome& welcome = *response.mutable_welcome();
    welcome.set_durable_sequence(*durable_sequence);
    welcome.set_credit_bytes(limits_.credit_bytes);
    welcome.set_max_batch_bytes(limits_.max_batch_bytes);
    responses_.push_back(std::move(response));
  }
  Advance();
}

void IngestSession::HandleBatch(ingest::v1::Batch& message) {
  const int64_t bytes = static_cast<int64_t>(message.ByteSizeLong());
  dependencies_.metrics->batches.Add();
  dependencies_.metrics->batch_bytes.Add(static_cast<uint64_t>(bytes));
  Producer producer;
  {
    absl::MutexLock lock(&mutex_);
    if (bytes > credit_left_) {
      SetClosing(absl::FailedPreconditionError(
          absl::StrCat("batch ", message.sequence(), " has ", bytes, " bytes, the credit left is ",
                       credit_left_, ": wait for Ack.credit_bytes")));
      return;
    }
    credit_left_ -= bytes;
    ++batches_submitted_;
    producer = producer_;
  }
  Batch batch;
  if (bytes > limits_.max_batch_bytes) {
    batch.producer = producer;
    batch.sequence = message.sequence();
    batch.refusal = Refusal{
        RefusalReason::kBatchTooLarge, 0,
        absl::InvalidArgumentError(absl::StrCat("batch ", message.sequence(), " has ", bytes,
                                                " bytes, the most is ", limits_.max_batch_bytes))};
  } else {
    batch = TakeBatch(producer, message);
  }
  const uint64_t sequence = batch.sequence;
  dependencies_.store->Commit(std::move(batch), [self = shared_from_this(), bytes,
                                                 sequence](absl::StatusOr<BatchResult> result) {
    if (result.ok() && result->refusal.has_value()) {
      self->dependencies_.logger->Warning("batch_rejected",
                                          {{"sequence", sequence},
                                           {"reason", RefusalReasonName(result->refusal->reason)},
                                           {"status", result->refusal->status}});
    }
    self->OnCommitted(sequence, bytes, std::move(result));
  });
}

void IngestSession::HandleFlush(uint64_t token) {
  absl::MutexLock lock(&mutex_);
  flushes_.push_back({token, batches_submitted_});
}

void IngestSession::OnCommitted(uint64_t sequence, int64_t bytes,
                                absl::StatusOr<BatchResult> result) {
  absl::MutexLock lock(&mutex_);
  ++batches_completed_;
  if (!result.ok()) {
    SetClosing(Explain(result.status()));
    Advance();
    return;
  }
  if (result->duplicate) dependencies_.metrics->duplicate_batches.Add();
  if (result->refusal.has_value()) {
    dependencies_.metrics->Rejections(result->refusal->reason).Add();
    responses_.push_back(RejectionOf(sequence, *result->refusal));
  }
  durable_sequence_ = result->durable_sequence;
  credit_left_ += bytes;
  ack_credit_ += bytes;
  ack_due_ = true;
  Advance();
}

std::optional<SessionResponse> IngestSession::NextResponse() {
  SessionResponse response;
  if (!responses_.empty()) {
    response = std::move(responses_.front());
    responses_.pop_front();
    return response;
  }
  if (ack_due_) {
    ack_due_ = false;
    response.mutable_ack()->set_durable_sequence(durable_sequence_);
    response.mutable_ack()->set_credit_bytes(static_cast<uint64_t>(ack_credit_));
    ack_credit_ = 0;
    return response;
  }
  if (!flushes_.empty() && flushes_.front().batches <= batches_completed_) {
    response.mutable_flushed()->set_token(flushes_.front().token);
    response.mutable_flushed()->set_durable_sequence(durable_sequence_);
    flushes_.pop_front();
    return response;
  }
  return std::nullopt;
}

void IngestSession::Advance() {
  if (finished_) return;
  if (!writing_ && !broken_) {
    if (std::optional<SessionResponse> next = NextResponse()) {
      response_ = *std::move(next);
      writing_ = true;
      StartWrite(&response_);
    }
  }
  const uint64_t uncommitted = batches_submitted_ - batches_completed_;
  if (closing_.has_value()) {
    if (uncommitted == 0 && !writing_) {
      finished_ = true;
      LogEnd();
      Finish(rpc::ToGrpcStatus(*closing_));
    }
    return;
  }
  const bool may_read = (welcomed_ || !said_hello_) && uncommitted < kMaxUncommittedBatches &&
                        responses_.size() + flushes_.size() < kMaxUnsentResponses;
  if (!reading_ && may_read) {
    reading_ = true;
    StartRead(&request_);
  }
}

void IngestSession::LogEnd() {
  if (closing_->ok() || absl::IsCancelled(*closing_)) {
    dependencies_.logger->Info("session_ended", {{"producer", producer_.id},
                                                 {"tenant", producer_.tenant},
                                                 {"durable_sequence", durable_sequence_}});
    return;
  }
  dependencies_.metrics->SessionsFailed(closing_->code()).Add();
  dependencies_.logger->Warning("session_failed", {{"producer", producer_.id},
                                                   {"tenant", producer_.tenant},
                                                   {"durable_sequence", durable_sequence_},
                                                   {"status", *closing_}});
}

void IngestSession::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  writing_ = false;
  if (!ok) {
    broken_ = true;
    SetClosing(absl::CancelledError("the producer has gone"));
  }
  Advance();
}

void IngestSession::OnDone() {
  on_done_(this);
  // May destroy this object.
  std::shared_ptr<IngestSession> last = std::move(self_);
}

}  // namespace flightrec::backend
