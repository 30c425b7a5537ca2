#include "services/flightrec/canary.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/ids/resource_name.h"
#include "common/rpc/channel.h"
#include "common/rpc/status.h"
#include "services/flightrec/canary_recording.h"

namespace flightrec::cli {
namespace {

absl::Status Fault(const ids::Ulid& recording, absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat(ids::RecordingResourceName(recording), " was acknowledged and ", what));
}

}  // namespace

Canary::Canary(ingest::v1::IngestService::StubInterface& ingest,
               read::v1::ReadService::StubInterface& read, ids::UlidGenerator& ids,
               clock::Clock& clock, metrics::Registry& registry)
    : ingest_(ingest),
      read_(read),
      ids_(ids),
      clock_(clock),
      producer_id_(absl::StrCat("canary-", ids.Generate().ToString())),
      registry_(registry),
      rounds_(registry.AddCounter("flightrec_canary_rounds_total",
                                  "Recordings that were written and read back.")),
      good_rounds_(registry.AddCounter("flightrec_canary_good_rounds_total",
                                       "Rounds in which everything came back.")),
      write_seconds_(registry.AddHistogram("flightrec_canary_write_seconds",
                                           "Time until a recording was durable.",
                                           metrics::LatencyBounds())),
      read_seconds_(registry.AddHistogram("flightrec_canary_read_seconds",
                                          "Time to read the newest and the oldest one back.",
                                          metrics::LatencyBounds())) {}

CanaryRound Canary::Round() {
  CanaryRound round;
  round.recording = ids_.Generate();
  const absl::Duration begin = clock_.Monotonic();
  const absl::Status written = Write(round.recording);
  const absl::Duration durable = clock_.Monotonic();
  round.write_time = durable - begin;
  if (written.ok()) {
    write_seconds_.Observe(absl::ToDoubleSeconds(round.write_time));
    kept_.push_back(round.recording);
  }
  // What was acknowledged before is looked at even if nothing can be written.
  absl::Status status = written;
  if (!kept_.empty()) {
    absl::Status oldest = ReadBack(kept_.front());
    if (!oldest.ok() && (status.ok() || absl::IsDataLoss(oldest))) status = std::move(oldest);
  }
  if (written.ok() && kept_.size() > 1) {
    absl::Status newest = ReadBack(round.recording);
    if (!newest.ok() && (status.ok() || absl::IsDataLoss(newest))) status = std::move(newest);
  }
  round.read_time = clock_.Monotonic() - durable;
  if (status.ok()) read_seconds_.Observe(absl::ToDoubleSeconds(round.read_time));
  // A fault is said once, not in every later round.
  if (kept_.size() > kCanaryKept || (absl::IsDataLoss(status) && !kept_.empty())) RemoveOldest();
  round.status = Count(status);
  return round;
}

absl::Status Canary::Count(const absl::Status& status) {
  rounds_.Add();
  if (status.ok()) {
    good_rounds_.Add();
  } else {
    registry_
        .AddCounter("flightrec_canary_failed_rounds_total", "Rounds that did not, by status.",
                    {{"status", absl::StatusCodeToString(status.code())}})
        .Add();
  }
  return status;
}

absl::Status Canary::Write(const ids::Ulid& recording) {
  grpc::ClientContext context;
  rpc::SetDeadline(context, kCanaryCallTimeout);
  const auto stream = ingest_.Session(&context);
  ingest::v1::SessionRequest request;
  request.mutable_hello()->set_producer_id(producer_id_);
  request.mutable_hello()->set_producer_epoch(1);
  ingest::v1::SessionResponse response;
  absl::Status status;
  if (stream->Write(request) && stream->Read(&response) && response.has_welcome()) {
    const uint64_t durable = response.welcome().durable_sequence();
    if (durable < sequence_) {
      status = absl::DataLossError(absl::StrCat("batch ", sequence_, " was acknowledged, the ",
                                                "backend knows up to ", durable));
    }
    absl::StatusOr<ingest::v1::Batch> batch = CanaryBatch(recording, durable + 1);
    if (!batch.ok()) return batch.status();
    *request.mutable_batch() = *std::move(batch);
    stream->Write(request);
    while (stream->Read(&response)) {
      if (response.has_rejection()) {
        status = absl::InternalError(
            absl::StrCat("a good batch was rejected: ", response.rejection().status().message()));
        break;
      }
      if (response.ack().durable_sequence() < durable + 1) continue;
      sequence_ = durable + 1;
      stream->WritesDone();
      const grpc::Status ended = stream->Finish();
      return status.ok() ? rpc::FromGrpcStatus(ended) : status;
    }
  }
  context.TryCancel();
  const grpc::Status ended = stream->Finish();
  if (!status.ok()) return status;
  return ended.ok() ? absl::UnavailableError("the stream ended before the acknowledgement")
                    : rpc::FromGrpcStatus(ended);
}

absl::Status Canary::ReadBack(const ids::Ulid& recording) {
  absl::StatusOr<std::vector<std::string>> expected = CanaryChunks(recording);
  if (!expected.ok()) return expected.status();
  grpc::ClientContext context;
  rpc::SetDeadline(context, kCanaryCallTimeout);
  read::v1::StreamChunksRequest request;
  request.set_parent(ids::RecordingResourceName(recording));
  const auto reader = read_.StreamChunks(&context, request);
  read::v1::StreamChunksResponse frame;
  size_t chunks = 0;
  bool same = true;
  bool ended = false;
  while (reader->Read(&frame)) {
    if (frame.has_chunk()) {
      same =
          same && chunks < expected->size() && frame.chunk().chunk().data() == (*expected)[chunks];
      ++chunks;
    }
    ended = ended || frame.has_end();
  }
  const absl::Status status = rpc::FromGrpcStatus(reader->Finish());
  if (absl::IsNotFound(status)) return Fault(recording, "is not there");
  if (!status.ok()) return status;
  if (!same) return Fault(recording, "is not what was written");
  if (!ended || chunks != expected->size()) {
    return Fault(recording, absl::StrCat("has ", chunks, " chunks, not ", expected->size()));
  }
  return absl::OkStatus();
}

void Canary::RemoveOldest() {
  grpc::ClientContext context;
  rpc::SetDeadline(context, kCanaryCallTimeout);
  read::v1::DeleteRecordingRequest request;
  request.set_name(ids::RecordingResourceName(kept_.front()));
  google::protobuf::Empty empty;
  // Without the role, retention removes it.
  const grpc::Status removed = read_.DeleteRecording(&context, request, &empty);
  if (!removed.ok()) {
    registry_
        .AddCounter("flightrec_canary_not_removed_total",
                    "Recordings that the canary could not remove.")
        .Add();
  }
  kept_.pop_front();
}

}  // namespace flightrec::cli
