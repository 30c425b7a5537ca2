#include "services/backend/store/chunk_cursor.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/chunk/codec.h"
#include "common/ids/resource_name.h"
#include "flightrec/read/v1/read.pb.h"

namespace flightrec::backend {

absl::StatusOr<ChunkCursor> ChunkCursor::Open(const Database& database, ChunkQuery query) {
  ChunkCursor cursor(database, std::move(query));
  if (absl::Status status = cursor.ReadRecording(); !status.ok()) return status;
  const ChunkQuery& q = cursor.query_;
  std::string prefix = RecordingKey(q.tenant, q.recording);
  if (q.process != 0) prefix = ProcessKey(q.tenant, q.recording, q.process);
  if (q.thread != 0) prefix = ThreadKey(q.tenant, q.recording, q.process, q.thread);
  cursor.end_key_ = PrefixEnd(prefix);
  cursor.next_key_ = std::move(prefix);
  return cursor;
}

absl::Status ChunkCursor::ReadRecording() {
  const std::string key = RecordingKey(query_.tenant, query_.recording);
  absl::StatusOr<std::optional<std::string>> value = database_->Get(Family::kRecordings, key);
  if (!value.ok()) return value.status();
  const std::string name = ids::RecordingResourceName(query_.recording);
  if (!value->has_value()) return absl::NotFoundError(absl::StrCat(name, " not found"));
  if (!recording_.ParseFromString(**value)) {
    return absl::DataLossError(absl::StrCat("store: the entry of ", name, " does not parse"));
  }
  return database_->ScanBackwards(Family::kChunks, key, PrefixEnd(key),
                                  [this](absl::string_view chunk_key, absl::string_view) {
                                    last_position_ = LastIdOfKey(chunk_key);
                                    return false;
                                  });
}

absl::StatusOr<std::optional<StoredChunk>> ChunkCursor::Next() {
  while (true) {
    if (ahead_.empty() && !next_key_.empty()) {
      if (absl::Status status = ReadIndex(); !status.ok()) return status;
    }
    if (ahead_.empty()) {
      if (!next_key_.empty()) continue;
      if (absl::Status status = DeletedMeanwhile(); !status.ok()) return status;
      return std::optional<StoredChunk>();
    }
    const Entry entry = ahead_.front();
    ahead_.pop_front();
    absl::StatusOr<bool> wanted = MayHaveFunctions(entry);
    if (!wanted.ok()) return wanted.status();
    if (!*wanted) {
      ++pruned_;
      continue;
    }
    absl::StatusOr<StoredChunk> chunk = Load(entry);
    if (!chunk.ok()) return chunk.status();
    return std::optional<StoredChunk>(*std::move(chunk));
  }
}

absl::StatusOr<bool> ChunkCursor::MayHaveFunctions(const Entry& entry) const {
  if (query_.function_ids.empty()) return true;
  absl::StatusOr<std::optional<std::string>> value = database_->Get(
      Family::kRollups, ChunkKey(query_.tenant, query_.recording, entry.index.position));
  if (!value.ok()) return value.status();
  read::v1::ChunkRollup rollup;
  if (!value->has_value() || !rollup.ParseFromString(**value) || rollup.unreadable()) return true;
  return std::any_of(rollup.functions().begin(), rollup.functions().end(),
                     [this](const read::v1::FunctionRollup& function) {
                       return function.calls() > 0 &&
                              std::find(query_.function_ids.begin(), query_.function_ids.end(),
                                        function.function_id()) != query_.function_ids.end();
                     });
}

absl::Status ChunkCursor::ReadIndex() {
  absl::Status damaged;
  std::string continue_at;
  absl::Status scanned = database_->Scan(Family::kChunkIndex, next_key_, end_key_,
                                         [&](absl::string_view key, absl::string_view value) {
                                           if (ahead_.size() == kIndexReadAhead) {
                                             continue_at = std::string(key);
                                             return false;
                                           }
                                           absl::StatusOr<IndexEntry> index =
                                               DecodeIndexEntry(value);
                                           if (!index.ok()) {
                                             damaged = index.status();
                                             return false;
                                           }
                                           Entry entry{IdentityOfKey(query_.tenant, key), *index};
                                           if (Wanted(entry)) ahead_.push_back(entry);
                                           return true;
                                         });
  next_key_ = std::move(continue_at);
  return scanned.ok() ? damaged : scanned;
}

bool ChunkCursor::Wanted(const Entry& entry) const {
  const IndexEntry& index = entry.index;
  return entry.identity.lane == query_.lane && index.position > query_.after_position &&
         index.position <= last_position_ &&
         (query_.start_ns == 0 || index.end_ns > query_.start_ns) &&
         (query_.end_ns == 0 || index.start_ns < query_.end_ns);
}

absl::StatusOr<StoredChunk> ChunkCursor::Load(const Entry& entry) const {
  absl::StatusOr<std::optional<std::string>> data = database_->Get(
      Family::kChunks, ChunkKey(query_.tenant, query_.recording, entry.index.position));
  if (!data.ok()) return data.status();
  const std::string place =
      absl::StrCat(Describe(entry.identity), " at position ", entry.index.position);
  if (!data->has_value()) {
    if (absl::Status status = DeletedMeanwhile(); !status.ok()) return status;
    return absl::DataLossError(absl::StrCat("store: ", place, " is missing"));
  }
  absl::StatusOr<chunk::ChunkHeader> header = chunk::DecodeHeader(**data);
  if (!header.ok()) {
    return absl::DataLossError(
        absl::StrCat("store: ", place, " is damaged: ", header.status().message()));
  }
  if (IdentityOf(*header) != entry.identity) {
    return absl::DataLossError(
        absl::StrCat("store: ", place, " is another chunk: ", Describe(IdentityOf(*header))));
  }
  return StoredChunk{entry.index.position, entry.index.call_count, **std::move(data)};
}

absl::Status ChunkCursor::DeletedMeanwhile() const {
  absl::StatusOr<std::optional<std::string>> recording =
      database_->Get(Family::kRecordings, RecordingKey(query_.tenant, query_.recording));
  if (!recording.ok()) return recording.status();
  if (recording->has_value()) return absl::OkStatus();
  return absl::AbortedError(
      absl::StrCat(ids::RecordingResourceName(query_.recording), " was deleted while it was read"));
}

}  // namespace flightrec::backend
