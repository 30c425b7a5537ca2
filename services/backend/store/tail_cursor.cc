#include "services/backend/store/tail_cursor.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/chunk/codec.h"
#include "common/ids/resource_name.h"
#include "flightrec/trace/v1/trace.pb.h"
#include "services/backend/store/keys.h"

namespace flightrec::backend {

absl::StatusOr<TailCursor> TailCursor::Open(const Database& database, TailQuery query) {
  TailCursor cursor(database, std::move(query));
  const TailQuery& q = cursor.query_;
  const std::string name = ids::RecordingResourceName(q.recording);
  if (absl::StatusOr<bool> over = cursor.IsOver(); !over.ok()) {
    if (!absl::IsAborted(over.status())) return over.status();
    return absl::NotFoundError(absl::StrCat(name, " not found"));
  }
  absl::StatusOr<uint64_t> last = cursor.ReadLastPosition();
  if (!last.ok()) return last.status();
  if (q.after_position > *last) {
    return absl::OutOfRangeError(
        absl::StrCat(name, " has chunks up to position ", *last, ", got ", q.after_position));
  }
  cursor.position_ = q.after_position;
  cursor.history_end_ = *last;
  return cursor;
}

absl::StatusOr<uint64_t> TailCursor::ReadLastPosition() const {
  const std::string key = RecordingKey(query_.tenant, query_.recording);
  uint64_t last = 0;
  absl::Status scanned = database_->ScanBackwards(Family::kChunks, key, PrefixEnd(key),
                                                  [&last](absl::string_view chunk_key, auto) {
                                                    last = LastIdOfKey(chunk_key);
                                                    return false;
                                                  });
  if (!scanned.ok()) return scanned;
  return last;
}

absl::StatusOr<bool> TailCursor::IsOver() const {
  absl::StatusOr<std::optional<std::string>> value =
      database_->Get(Family::kRecordings, RecordingKey(query_.tenant, query_.recording));
  if (!value.ok()) return value.status();
  const std::string name = ids::RecordingResourceName(query_.recording);
  if (!value->has_value()) {
    return absl::AbortedError(absl::StrCat(name, " was deleted while it was read"));
  }
  trace::v1::Recording recording;
  if (!recording.ParseFromString(**value)) {
    return absl::DataLossError(absl::StrCat("store: the entry of ", name, " does not parse"));
  }
  return recording.state() >= trace::v1::RECORDING_STATE_SEALED;
}

absl::StatusOr<TailStep> TailCursor::Next(uint64_t last_position) {
  last_position_ = std::max({last_position_, last_position, history_end_});
  if (position_ == last_position_) {
    absl::StatusOr<bool> over = IsOver();
    if (!over.ok()) return over.status();
    if (!*over) return TailWaits();
    // What was committed before the end may not have been announced yet.
    absl::StatusOr<uint64_t> last = ReadLastPosition();
    if (!last.ok()) return last.status();
    last_position_ = std::max(last_position_, *last);
    if (position_ == last_position_) return TailEnd{last_position_};
  }
  if (position_ >= history_end_ && last_position_ - position_ > query_.max_lag_chunks) {
    const uint64_t resume = last_position_ - query_.max_lag_chunks / 2;
    return TailGap{std::exchange(position_, resume) + 1, resume};
  }
  return NextChunk();
}

absl::StatusOr<TailStep> TailCursor::NextChunk() {
  absl::StatusOr<std::optional<std::string>> data =
      database_->Get(Family::kChunks, ChunkKey(query_.tenant, query_.recording, position_ + 1));
  if (!data.ok()) return data.status();
  if (!data->has_value()) return NextWithoutChunk();
  ++position_;
  const std::string place =
      absl::StrCat(ids::RecordingResourceName(query_.recording), " at position ", position_);
  absl::StatusOr<chunk::ChunkHeader> header = chunk::DecodeHeader(**data);
  if (!header.ok()) {
    return absl::DataLossError(
        absl::StrCat("store: chunk of ", place, " is damaged: ", header.status().message()));
  }
  if (header->recording != query_.recording) {
    return absl::DataLossError(
        absl::StrCat("store: ", place, " is ", Describe(IdentityOf(*header))));
  }
  return StoredChunk{position_, header->call_count, **std::move(data)};
}

absl::StatusOr<TailStep> TailCursor::NextWithoutChunk() {
  if (absl::StatusOr<bool> over = IsOver(); !over.ok()) return over.status();
  return absl::DataLossError(absl::StrCat("store: ", ids::RecordingResourceName(query_.recording),
                                          " at position ", position_ + 1, " is missing"));
}

}  // namespace flightrec::backend
