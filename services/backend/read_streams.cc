#include "services/backend/read_streams.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/ids/resource_name.h"
#include "common/rpc/status.h"

namespace flightrec::backend {
namespace {

// What was read so far may lack what went with the recording.
absl::Status StillThere(const Store& store, const std::string& tenant, const ids::Ulid& recording) {
  absl::Status status = store.GetRecording(tenant, recording).status();
  if (!absl::IsNotFound(status)) return status;
  return absl::AbortedError(
      absl::StrCat(ids::RecordingResourceName(recording), " was deleted while it was read"));
}

}  // namespace

FunctionsStream::FunctionsStream(const Store& store, std::string tenant, const Resource& resource)
    : store_(store), tenant_(std::move(tenant)), recording_(resource.recording_id) {
  WriteNext();
}

void FunctionsStream::WriteNext() {
  const PageLimits limits{kFunctionsMessageItems, kFunctionsMessageBytes};
  absl::StatusOr<Page<trace::v1::Function>> page =
      store_.ListFunctions(tenant_, recording_, cursor_, limits);
  if (!page.ok()) {
    Finish(rpc::ToGrpcStatus(page.status()));
    return;
  }
  response_.Clear();
  for (trace::v1::Function& function : page->items) {
    *response_.add_functions() = std::move(function);
  }
  cursor_ = std::move(page->cursor);
  if (cursor_.empty()) {
    if (absl::Status there = StillThere(store_, tenant_, recording_); !there.ok()) {
      Finish(rpc::ToGrpcStatus(there));
      return;
    }
    StartWriteAndFinish(&response_, grpc::WriteOptions(), grpc::Status::OK);
  } else {
    StartWrite(&response_);
  }
}

void FunctionsStream::OnWriteDone(bool ok) {
  if (!ok) {
    // After StartWriteAndFinish the end is under way already.
    if (!cursor_.empty()) Finish(grpc::Status::CANCELLED);
    return;
  }
  if (!cursor_.empty()) WriteNext();
}

RollupsStream::RollupsStream(const Store& store, std::string tenant, const Resource& resource,
                             uint64_t after_position)
    : store_(store),
      tenant_(std::move(tenant)),
      recording_(resource.recording_id),
      position_(after_position) {
  WriteNext();
}

void RollupsStream::WriteNext() {
  absl::StatusOr<std::vector<std::string>> next =
      store_.ReadRollups(tenant_, recording_, position_, 1);
  absl::StatusOr<uint64_t> last = store_.LastPosition(tenant_, recording_);
  if (!next.ok() || !last.ok()) {
    ended_ = true;
    Finish(rpc::ToGrpcStatus(next.ok() ? last.status() : next.status()));
    return;
  }
  if (next->empty()) {
    ended_ = true;
    if (absl::Status there = StillThere(store_, tenant_, recording_); !there.ok()) {
      Finish(rpc::ToGrpcStatus(there));
      return;
    }
    response_.mutable_end()->set_rollups(rollups_);
    response_.mutable_end()->set_last_position(position_);
    response_.mutable_end()->set_last_chunk_position(*last);
    StartWriteAndFinish(&response_, grpc::WriteOptions(), grpc::Status::OK);
    return;
  }
  if (!response_.mutable_rollup()->ParseFromString(next->front())) {
    ended_ = true;
    Finish(rpc::ToGrpcStatus(absl::DataLossError(
        absl::StrCat("store: a rollup after position ", position_, " does not parse"))));
    return;
  }
  ++rollups_;
  position_ = response_.rollup().position();
  StartWrite(&response_);
}

void RollupsStream::OnWriteDone(bool ok) {
  if (ended_) return;
  if (ok) {
    WriteNext();
  } else {
    ended_ = true;
    Finish(grpc::Status::CANCELLED);
  }
}

ChunksStream::ChunksStream(ChunkCursor cursor, Counters counters)
    : cursor_(std::move(cursor)), counters_(counters) {
  *response_.mutable_header()->mutable_recording() = cursor_.recording();
  StartWrite(&response_);
}

void ChunksStream::WriteNext() {
  absl::StatusOr<std::optional<StoredChunk>> next = cursor_.Next();
  if (!next.ok()) {
    ended_ = true;
    Finish(rpc::ToGrpcStatus(next.status()));
    return;
  }
  if (!next->has_value()) {
    WriteEnd();
    return;
  }
  StoredChunk& chunk = **next;
  ++chunks_;
  calls_ += chunk.call_count;
  counters_.chunks->Add();
  counters_.bytes->Add(chunk.data.size());
  response_.mutable_chunk()->set_position(chunk.position);
  *response_.mutable_chunk()->mutable_chunk()->mutable_data() = std::move(chunk.data);
  StartWrite(&response_);
}

void ChunksStream::WriteEnd() {
  ended_ = true;
  counters_.pruned->Add(cursor_.pruned());
  read::v1::ChunksEnd& end = *response_.mutable_end();
  end.set_chunks(chunks_);
  end.set_calls(calls_);
  end.set_last_position(cursor_.last_position());
  StartWriteAndFinish(&response_, grpc::WriteOptions(), grpc::Status::OK);
}

void ChunksStream::OnWriteDone(bool ok) {
  if (ended_) return;
  if (!ok) {
    ended_ = true;
    Finish(grpc::Status::CANCELLED);
    return;
  }
  WriteNext();
}

}  // namespace flightrec::backend
