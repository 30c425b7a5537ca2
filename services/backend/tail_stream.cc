#include "services/backend/tail_stream.h"

#include <utility>
#include <variant>

#include "common/rpc/status.h"

namespace flightrec::backend {
namespace {

grpc::Status Closed() {
  return rpc::ToGrpcStatus(
      rpc::WithReason(absl::UnavailableError("the stream was closed: the server is shutting down"),
                      "DRAINING", "tail again after the last position"));
}

}  // namespace

TailStream::TailStream(CommitWatch& watch, uint64_t follower, TailCursor cursor,
                       ReadMetrics& metrics, std::function<void(TailStream*)> on_done)
    : watch_(watch),
      follower_(follower),
      cursor_(std::move(cursor)),
      metrics_(metrics),
      on_done_(std::move(on_done)) {}

void TailStream::Advance() {
  if (closing_.load()) {
    End(Closed());
    return;
  }
  absl::StatusOr<TailStep> step = cursor_.Next(watch_.LastPosition(follower_));
  while (step.ok() && std::holds_alternative<TailWaits>(*step)) {
    switch (watch_.WaitForNews(follower_, [this] { Advance(); })) {
      case CommitWatch::Wait::kWaiting:
        // The stream may have ended and be gone by now.
        return;
      case CommitWatch::Wait::kClosed:
        End(Closed());
        return;
      case CommitWatch::Wait::kNews:
        break;
    }
    step = cursor_.Next(watch_.LastPosition(follower_));
  }
  if (!step.ok()) {
    End(rpc::ToGrpcStatus(step.status()));
    return;
  }
  Send(*step);
}

void TailStream::Send(TailStep& step) {
  if (auto* chunk = std::get_if<StoredChunk>(&step)) {
    ++chunks_;
    calls_ += chunk->call_count;
    metrics_.chunks_read.Add();
    metrics_.bytes_read.Add(chunk->data.size());
    response_.mutable_chunk()->set_position(chunk->position);
    *response_.mutable_chunk()->mutable_chunk()->mutable_data() = std::move(chunk->data);
  } else if (const auto* gap = std::get_if<TailGap>(&step)) {
    metrics_.tail_gaps.Add();
    metrics_.tail_chunks_skipped.Add(gap->last_position - gap->first_position + 1);
    response_.mutable_gap()->set_first_position(gap->first_position);
    response_.mutable_gap()->set_last_position(gap->last_position);
  } else if (const auto* end = std::get_if<TailEnd>(&step)) {
    response_.mutable_end()->set_chunks(chunks_);
    response_.mutable_end()->set_calls(calls_);
    response_.mutable_end()->set_last_position(end->last_position);
    ended_ = true;
    StartWriteAndFinish(&response_, grpc::WriteOptions(), grpc::Status::OK);
    return;
  }
  StartWrite(&response_);
}

void TailStream::End(const grpc::Status& status) {
  ended_ = true;
  Finish(status);
}

void TailStream::OnWriteDone(bool ok) {
  // After the last write the end is under way already.
  if (ended_) return;
  if (ok) {
    Advance();
  } else {
    End(grpc::Status::CANCELLED);
  }
}

void TailStream::Close() {
  closing_.store(true);
  if (watch_.Close(follower_)) End(Closed());
}

void TailStream::OnCancel() { Close(); }

void TailStream::OnDone() {
  // Before the follower goes: until then somebody may call Close.
  on_done_(this);
  watch_.Unfollow(follower_);
  delete this;
}

}  // namespace flightrec::backend
