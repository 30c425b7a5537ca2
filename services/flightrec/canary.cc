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

using SessionStream =
    grpc::ClientReaderWriterInterface<ingest::v1::SessionRequest, ingest::v1::SessionResponse>;

// Why it ended; never OK: the caller expected more.
absl::Status EndOf(SessionStream& stream) {
  const grpc::Status ended = stream.Finish();
  return ended.ok() ? absl::UnavailableError("the stream ended before the acknowledgement")
                    : rpc::FromGrpcStatus(ended);
}

// That there are too many recordings is no fault of the batch; all other rejections say that one
// is.
absl::Status RejectionError(const google::rpc::Status& status) {
  const std::string message = absl::StrCat("a good batch was rejected: ", status.message());
  return status.code() == grpc::RESOURCE_EXHAUSTED ? absl::ResourceExhaustedError(message)
                                                   : absl::InternalError(message);
}

// What is lost counts more than what cannot be done now.
absl::Status Worse(const absl::Status& a, const absl::Status& b) {
  if (absl::IsDataLoss(a) && absl::IsDataLoss(b)) {
    return absl::DataLossError(absl::StrCat(a.message(), "; ", b.message()));
  }
  return a.ok() || absl::IsDataLoss(b) ? b : a;
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
      damaged_(registry.AddCounter(
          "flightrec_canary_damaged_recordings_total",
          "Recordings that were acknowledged and did not come back as they were written.")),
      write_seconds_(registry.AddHistogram("flightrec_canary_write_seconds",
                                           "Time until a recording was durable.",
                                           metrics::LatencyBounds())),
      read_seconds_(registry.AddHistogram("flightrec_canary_read_seconds",
                                          "Time to read recordings back, in good rounds.",
                                          metrics::LatencyBounds())) {}

CanaryRound Canary::Round() {
  CanaryRound round;
  round.recording = ids_.Generate();
  const absl::Duration begin = clock_.Monotonic();
  absl::Status lost;
  const absl::Status written = Write(round.recording, lost);
  const absl::Duration durable = clock_.Monotonic();
  round.write_time = durable - begin;
  if (written.ok()) {
    write_seconds_.Observe(absl::ToDoubleSeconds(round.write_time));
    kept_.push_back(round.recording);
  }
  if (!lost.ok()) read_all_ = true;
  absl::Status status = lost.ok() ? written : lost;
  // What was acknowledged before is looked at even if nothing can be written.
  ReadKept(written.ok(), status);
  round.read_time = clock_.Monotonic() - durable;
  if (status.ok()) read_seconds_.Observe(absl::ToDoubleSeconds(round.read_time));
  if (!written.ok()) read_all_ = true;
  if (kept_.size() > kCanaryKept) {
    Remove(kept_.front());
    kept_.pop_front();
  }
  round.status = Count(status);
  return round;
}

void Canary::ReadKept(bool newest, absl::Status& status) {
  std::deque<ids::Ulid> sound;
  size_t damaged = 0;
  bool reached = true;
  for (const ids::Ulid& recording : kept_) {
    const bool wanted =
        read_all_ || recording == kept_.front() || (newest && recording == kept_.back());
    const absl::Status read = wanted && reached ? ReadBack(recording) : absl::OkStatus();
    if (absl::IsDataLoss(read)) {
      // Said once, not in every later round.
      Remove(recording);
      ++damaged;
    } else {
      sound.push_back(recording);
    }
    if (absl::IsUnavailable(read) || absl::IsDeadlineExceeded(read)) reached = false;
    if (!read.ok() && damaged <= 1) status = Worse(status, read);
  }
  kept_ = std::move(sound);
  damaged_.Add(damaged);
  // Where something is damaged, more may be.
  read_all_ = !reached || damaged > 0;
  if (damaged > 1) {
    status =
        absl::DataLossError(absl::StrCat(status.message(), "; ", damaged, " recordings in all"));
  }
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

absl::Status Canary::Write(const ids::Ulid& recording, absl::Status& lost) {
  grpc::ClientContext context;
  rpc::SetDeadline(context, kCanaryCallTimeout);
  const auto stream = ingest_.Session(&context);
  ingest::v1::SessionRequest request;
  request.mutable_hello()->set_producer_id(producer_id_);
  request.mutable_hello()->set_producer_epoch(1);
  ingest::v1::SessionResponse response;
  if (!stream->Write(request) || !stream->Read(&response)) return EndOf(*stream);
  const uint64_t durable = response.welcome().durable_sequence();
  if (durable < sequence_) {
    lost =
        absl::DataLossError(absl::StrCat("batch ", sequence_, " of ", producer_id_,
                                         " was acknowledged, the backend knows up to ", durable));
    sequence_ = durable;
  }
  absl::StatusOr<ingest::v1::Batch> batch = CanaryBatch(recording, durable + 1);
  if (!batch.ok()) return batch.status();
  *request.mutable_batch() = *std::move(batch);
  stream->Write(request);
  while (stream->Read(&response)) {
    if (response.has_rejection()) {
      // Ends the stream; its status says nothing more.
      context.TryCancel();
      EndOf(*stream).IgnoreError();
      return RejectionError(response.rejection().status());
    }
    if (response.ack().durable_sequence() < durable + 1) continue;
    sequence_ = durable + 1;
    stream->WritesDone();
    // Acknowledged is acknowledged, whatever comes after it.
    EndOf(*stream).IgnoreError();
    return absl::OkStatus();
  }
  return EndOf(*stream);
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
  if (absl::IsDataLoss(status)) {
    return Fault(recording, absl::StrCat("cannot be read: ", status.message()));
  }
  if (!status.ok()) return status;
  if (!same) return Fault(recording, "is not what was written");
  if (!ended || chunks != expected->size()) {
    return Fault(recording, absl::StrCat("has ", chunks, " chunks, not ", expected->size()));
  }
  return absl::OkStatus();
}

void Canary::Remove(const ids::Ulid& recording) {
  grpc::ClientContext context;
  rpc::SetDeadline(context, kCanaryCallTimeout);
  read::v1::DeleteRecordingRequest request;
  request.set_name(ids::RecordingResourceName(recording));
  google::protobuf::Empty empty;
  // Without the role, retention removes it.
  const grpc::Status removed = read_.DeleteRecording(&context, request, &empty);
  if (removed.ok()) return;
  registry_
      .AddCounter("flightrec_canary_not_removed_total",
                  "Recordings that the canary could not remove.")
      .Add();
}

}  // namespace flightrec::cli
