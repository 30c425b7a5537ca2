#include "services/backend/store/stager.h"

#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/ids/resource_name.h"
#include "services/backend/store/keys.h"
#include "services/backend/store/trash_entry.h"

namespace flightrec::backend {
namespace {

Refusal MakeRefusal(RefusalReason reason, absl::Status status) {
  return {reason, 0, std::move(status)};
}

ids::Ulid RecordingOf(const RecordingItem& item) { return item.id; }
ids::Ulid RecordingOf(const ProcessItem& item) { return item.name.recording; }
ids::Ulid RecordingOf(const ThreadItem& item) { return item.name.recording; }
ids::Ulid RecordingOf(const FunctionsItem& item) { return item.recording; }
ids::Ulid RecordingOf(const ChunkItem& item) { return item.header.recording; }

}  // namespace

absl::StatusOr<uint64_t> Stager::OpenProducer(const Producer& producer) {
  const std::string key = ProducerKey(producer.tenant, producer.id);
  absl::StatusOr<ProducerEntry*> entry = ledger_.Producer(key);
  if (!entry.ok()) return entry.status();
  ProducerEntry& known = **entry;
  if (known.known && producer.epoch < known.epoch) {
    return absl::FailedPreconditionError(
        absl::StrCat("producer ", producer.id, ": epoch ", producer.epoch,
                     " is over, the store knows epoch ", known.epoch));
  }
  if (!known.known || producer.epoch > known.epoch) {
    known = {true, producer.epoch, 0};
    write_.Put(database_.family(Family::kProducers), key, EncodeProducerEntry(known));
  }
  return known.sequence;
}

absl::StatusOr<BatchResult> Stager::Add(Batch batch) {
  const std::string key = ProducerKey(batch.producer.tenant, batch.producer.id);
  absl::StatusOr<ProducerEntry*> entry = ledger_.Producer(key);
  if (!entry.ok()) return entry.status();
  ProducerEntry& producer = **entry;
  if (batch.producer.epoch != producer.epoch) {
    return absl::AbortedError(absl::StrCat("producer ", batch.producer.id, ": epoch ",
                                           batch.producer.epoch, " ended when epoch ",
                                           producer.epoch, " was opened"));
  }
  if (batch.sequence == 0) {
    return absl::InvalidArgumentError("sequence: got 0, the first batch of an epoch is 1");
  }
  if (batch.sequence <= producer.sequence) return BatchResult{producer.sequence, {}, true};
  if (batch.sequence != producer.sequence + 1) {
    return absl::FailedPreconditionError(absl::StrCat("producer ", batch.producer.id,
                                                      ": expected sequence ", producer.sequence + 1,
                                                      ", got ", batch.sequence));
  }
  BatchResult result;
  result.refusal = std::move(batch.refusal);
  if (!result.refusal.has_value()) {
    Changes changes;
    write_.SetSavePoint();
    Outcome refusal = AddItems(batch.producer.tenant, batch.items, changes);
    if (!refusal.ok() || refusal->has_value()) {
      write_.RollbackToSavePoint();
      if (!refusal.ok()) return refusal.status();
      result.refusal = **std::move(refusal);
      if (result.refusal->reason == RefusalReason::kRecordingDeleted) {
        absl::Status noted = NoteRefused(batch.producer.tenant, batch.items[result.refusal->item]);
        if (!noted.ok()) return noted;
      }
    } else {
      write_.PopSavePoint();
      Merge(std::move(changes));
    }
  }
  producer.sequence = batch.sequence;
  write_.Put(database_.family(Family::kProducers), key, EncodeProducerEntry(producer));
  result.durable_sequence = batch.sequence;
  return result;
}

Stager::Outcome Stager::AddItems(const std::string& tenant, const std::vector<Item>& items,
                                 Changes& changes) {
  for (size_t i = 0; i < items.size(); ++i) {
    Outcome refusal =
        std::visit([&](const auto& item) { return AddItem(tenant, item, changes); }, items[i]);
    if (!refusal.ok()) return refusal;
    if (refusal->has_value()) {
      (*refusal)->item = static_cast<uint32_t>(i);
      return refusal;
    }
  }
  return std::optional<Refusal>();
}

Stager::Outcome Stager::AddItem(const std::string& tenant, const RecordingItem& item,
                                Changes& changes) {
  absl::StatusOr<RecordingEntry*> entry = FindRecording(tenant, item.id, changes);
  if (!entry.ok()) return entry.status();
  RecordingEntry& known = **entry;
  if (known.deleted) return RequireRecording(tenant, item.id, changes);
  // A step back is an old state that was sent again: what is known stays.
  if (known.known && (item.recording.state() < known.state || known.failed_by_deletion)) {
    return std::optional<Refusal>();
  }
  if (!known.known) {
    Outcome refusal = RequireRoomForRecording(item.id, changes);
    if (!refusal.ok() || refusal->has_value()) return refusal;
    ++changes.new_recordings;
  }
  known.known = true;
  known.state = item.recording.state();
  PutRecording(RecordingKey(tenant, item.id), item.recording, known, changes);
  return std::optional<Refusal>();
}

absl::Status Stager::NoteRefused(const std::string& tenant, const Item& item) {
  const ids::Ulid id = std::visit([](const auto& one) { return RecordingOf(one); }, item);
  const std::string key = RecordingKey(tenant, id);
  absl::StatusOr<RecordingEntry*> entry = ledger_.Recording(key);
  if (!entry.ok()) return entry.status();
  if (!(*entry)->known || (*entry)->state >= trace::v1::RECORDING_STATE_SEALED) {
    return absl::OkStatus();
  }
  absl::StatusOr<TrashEntry> trashed = ReadEntry<TrashEntry>(Family::kTrash, key);
  if (!trashed.ok()) return trashed.status();
  trace::v1::Recording& recording = trashed->recording;
  recording.set_state(trace::v1::RECORDING_STATE_FAILED);
  recording.set_failure(absl::StrCat(
      kFailedByDeletion, ", at ",
      absl::FormatTime(absl::FromUnixSeconds(trashed->delete_time), absl::UTCTimeZone()),
      ": what came until it was brought back was refused"));
  recording.mutable_end_time()->set_seconds(trashed->delete_time);
  (*entry)->state = recording.state();
  (*entry)->failed_by_deletion = true;
  staged_recordings_[key] = trashed->SerializeAsString();
  write_.Put(database_.family(Family::kTrash), key, staged_recordings_[key]);
  return absl::OkStatus();
}

void Stager::PutRecording(std::string key, trace::v1::Recording recording, RecordingEntry& entry,
                          Changes& changes) {
  const int64_t now = absl::ToUnixSeconds(clock_.Now());
  recording.mutable_last_received_time()->set_seconds(now);
  recording.mutable_last_received_time()->set_nanos(0);
  entry.last_received = absl::FromUnixSeconds(now);
  std::string bytes = recording.SerializeAsString();
  write_.Put(database_.family(Family::kRecordings), key, bytes);
  changes.recording_bytes.insert_or_assign(std::move(key), std::move(bytes));
}

absl::Status Stager::NoteReceived(const std::string& key, RecordingEntry& entry, Changes& changes) {
  if (absl::AbsDuration(clock_.Now() - entry.last_received) < kReceivedTimeStep) {
    return absl::OkStatus();
  }
  trace::v1::Recording recording;
  if (const auto it = changes.recording_bytes.find(key); it != changes.recording_bytes.end()) {
    // Written by this program.
    recording.ParseFromString(it->second);
  } else {
    absl::StatusOr<trace::v1::Recording> stored =
        ReadEntry<trace::v1::Recording>(Family::kRecordings, key);
    if (!stored.ok()) return stored.status();
    recording = *std::move(stored);
  }
  PutRecording(key, std::move(recording), entry, changes);
  return absl::OkStatus();
}

Stager::Outcome Stager::AddItem(const std::string& tenant, const ProcessItem& item,
                                Changes& changes) {
  Outcome refusal = RequireRecording(tenant, item.name.recording, changes);
  if (!refusal.ok() || refusal->has_value()) return refusal;
  write_.Put(database_.family(Family::kProcesses),
             ProcessKey(tenant, item.name.recording, item.name.process),
             item.process.SerializeAsString());
  return std::optional<Refusal>();
}

Stager::Outcome Stager::AddItem(const std::string& tenant, const ThreadItem& item,
                                Changes& changes) {
  Outcome refusal = RequireRecording(tenant, item.name.recording, changes);
  if (!refusal.ok() || refusal->has_value()) return refusal;
  write_.Put(database_.family(Family::kThreads),
             ThreadKey(tenant, item.name.recording, item.name.process, item.name.thread),
             item.thread.SerializeAsString());
  return std::optional<Refusal>();
}

Stager::Outcome Stager::AddItem(const std::string& tenant, const FunctionsItem& item,
                                Changes& changes) {
  Outcome refusal = RequireRecording(tenant, item.recording, changes);
  if (!refusal.ok() || refusal->has_value()) return refusal;
  for (const trace::v1::Function& function : item.functions) {
    write_.Put(database_.family(Family::kFunctions),
               FunctionKey(tenant, item.recording, function.function_id()),
               function.SerializeAsString());
  }
  return std::optional<Refusal>();
}

Stager::Outcome Stager::AddItem(const std::string& tenant, const ChunkItem& item,
                                Changes& changes) {
  const ids::Ulid& id = item.header.recording;
  Outcome refusal = RequireRecording(tenant, id, changes);
  if (!refusal.ok() || refusal->has_value()) return refusal;

  const std::string index_key = ChunkIndexKey(tenant, item.header);
  IndexEntry entry = MakeIndexEntry(item.header, item.data);
  absl::StatusOr<std::optional<IndexEntry>> found = FindChunk(index_key, changes);
  if (!found.ok()) return found.status();
  if (found->has_value()) {
    entry.position = (*found)->position;
    if (entry == **found) {
      ++changes.totals.duplicate_chunks;
      return std::optional<Refusal>();
    }
    return MakeRefusal(RefusalReason::kChunkConflict,
                       absl::AlreadyExistsError(absl::StrCat(Describe(IdentityOf(item.header)),
                                                             " is stored with other content")));
  }
  absl::StatusOr<RecordingEntry*> recording = FindRecording(tenant, id, changes);
  if (!recording.ok()) return recording.status();
  if ((*recording)->state == trace::v1::RECORDING_STATE_SEALED) {
    return MakeRefusal(RefusalReason::kRecordingSealed,
                       absl::FailedPreconditionError(absl::StrCat(
                           ids::RecordingResourceName(id), " is sealed: nothing is added to it")));
  }
  if ((*recording)->failed_by_deletion) {
    return MakeRefusal(RefusalReason::kRecordingDeleted,
                       absl::FailedPreconditionError(
                           absl::StrCat(ids::RecordingResourceName(id), " was ", kFailedByDeletion,
                                        " and brought back as failed: nothing is added to it")));
  }
  entry.position = ++(*recording)->last_position;
  write_.Put(database_.family(Family::kChunks), ChunkKey(tenant, id, entry.position), item.data);
  write_.Put(database_.family(Family::kChunkIndex), index_key, EncodeIndexEntry(entry));
  changes.chunks.emplace(index_key, entry);
  ++changes.totals.chunks;
  changes.totals.calls += entry.call_count;
  changes.totals.chunk_bytes += entry.bytes;
  return std::optional<Refusal>();
}

absl::StatusOr<RecordingEntry*> Stager::FindRecording(const std::string& tenant,
                                                      const ids::Ulid& id, Changes& changes) {
  const std::string key = RecordingKey(tenant, id);
  if (const auto it = changes.recordings.find(key); it != changes.recordings.end()) {
    return &it->second;
  }
  absl::StatusOr<RecordingEntry*> entry = ledger_.Recording(key);
  if (!entry.ok()) return entry.status();
  return &changes.recordings.emplace(key, **entry).first->second;
}

Stager::Outcome Stager::RequireRoomForRecording(const ids::Ulid& id, const Changes& changes) {
  absl::StatusOr<uint64_t> count = ledger_.CountRecordings();
  if (!count.ok()) return count.status();
  if (*count + changes.new_recordings < max_recordings_) return std::optional<Refusal>();
  return MakeRefusal(RefusalReason::kTooManyRecordings,
                     absl::ResourceExhaustedError(absl::StrCat(
                         ids::RecordingResourceName(id), " is one too many: --max_recordings=",
                         max_recordings_, ", deleted ones included")));
}

Stager::Outcome Stager::RequireRecording(const std::string& tenant, const ids::Ulid& id,
                                         Changes& changes) {
  absl::StatusOr<RecordingEntry*> entry = FindRecording(tenant, id, changes);
  if (!entry.ok()) return entry.status();
  const std::string name = ids::RecordingResourceName(id);
  if ((*entry)->deleted) {
    return MakeRefusal(RefusalReason::kRecordingDeleted,
                       absl::FailedPreconditionError(absl::StrCat(name, " was deleted")));
  }
  if (!(*entry)->known) {
    return MakeRefusal(RefusalReason::kRecordingUnknown,
                       absl::FailedPreconditionError(absl::StrCat(
                           name, " is unknown: send the recording before what belongs to it")));
  }
  absl::Status noted = NoteReceived(RecordingKey(tenant, id), **entry, changes);
  if (!noted.ok()) return noted;
  return std::optional<Refusal>();
}

absl::StatusOr<std::optional<IndexEntry>> Stager::FindChunk(const std::string& index_key,
                                                            const Changes& changes) const {
  if (const auto it = changes.chunks.find(index_key); it != changes.chunks.end()) return it->second;
  if (const auto it = staged_chunks_.find(index_key); it != staged_chunks_.end()) return it->second;
  absl::StatusOr<std::optional<std::string>> value = database_.Get(Family::kChunkIndex, index_key);
  if (!value.ok()) return value.status();
  if (!value->has_value()) return std::optional<IndexEntry>();
  absl::StatusOr<IndexEntry> entry = DecodeIndexEntry(**value);
  if (!entry.ok()) return entry.status();
  return *entry;
}

void Stager::Merge(Changes changes) {
  for (auto& [key, entry] : changes.recordings) {
    absl::StatusOr<RecordingEntry*> known = ledger_.Recording(key);
    // Known since FindRecording, so it is not read again and cannot fail.
    if (known.ok()) **known = entry;
    positions_[key] = entry.last_position;
  }
  for (auto& [key, entry] : changes.chunks) staged_chunks_.emplace(key, entry);
  for (auto& [key, bytes] : changes.recording_bytes) staged_recordings_[key] = std::move(bytes);
  ledger_.AddRecordings(static_cast<int64_t>(changes.new_recordings));
  totals_.chunks += changes.totals.chunks;
  totals_.calls += changes.totals.calls;
  totals_.chunk_bytes += changes.totals.chunk_bytes;
  totals_.duplicate_chunks += changes.totals.duplicate_chunks;
}

template <typename Entry>
absl::StatusOr<Entry> Stager::ReadEntry(Family family, const std::string& key) const {
  std::string bytes;
  if (const auto it = staged_recordings_.find(key); it != staged_recordings_.end()) {
    bytes = it->second;
  } else {
    absl::StatusOr<std::optional<std::string>> value = database_.Get(family, key);
    if (!value.ok()) return value.status();
    // Staged as known, so one of them has it.
    bytes = value->value_or("");
  }
  Entry entry;
  if (!entry.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return absl::DataLossError("store: a recording's entry does not parse");
  }
  return entry;
}

absl::Status Stager::Delete(const std::string& tenant, const ids::Ulid& id, absl::Time now,
                            absl::Time purge_time) {
  const std::string key = RecordingKey(tenant, id);
  absl::StatusOr<RecordingEntry*> entry = ledger_.Recording(key);
  if (!entry.ok()) return entry.status();
  if (!(*entry)->known || (*entry)->deleted) {
    return absl::NotFoundError(absl::StrCat(ids::RecordingResourceName(id), " not found"));
  }
  absl::StatusOr<trace::v1::Recording> recording =
      ReadEntry<trace::v1::Recording>(Family::kRecordings, key);
  if (!recording.ok()) return recording.status();
  const TrashEntry trashed{*std::move(recording), absl::ToUnixSeconds(now),
                           absl::ToUnixSeconds(purge_time)};
  write_.Delete(database_.family(Family::kRecordings), key);
  staged_recordings_[key] = trashed.SerializeAsString();
  write_.Put(database_.family(Family::kTrash), key, staged_recordings_[key]);
  (*entry)->deleted = true;
  positions_[key] = 0;
  return absl::OkStatus();
}

absl::Status Stager::Undelete(const std::string& tenant, const ids::Ulid& id) {
  const std::string key = RecordingKey(tenant, id);
  absl::StatusOr<RecordingEntry*> entry = ledger_.Recording(key);
  if (!entry.ok()) return entry.status();
  if (!(*entry)->known || !(*entry)->deleted) {
    return absl::NotFoundError(
        absl::StrCat(ids::RecordingResourceName(id), " is not among the deleted recordings"));
  }
  absl::StatusOr<TrashEntry> trashed = ReadEntry<TrashEntry>(Family::kTrash, key);
  if (!trashed.ok()) return trashed.status();
  write_.Delete(database_.family(Family::kTrash), key);
  staged_recordings_[key] = trashed->recording.SerializeAsString();
  write_.Put(database_.family(Family::kRecordings), key, staged_recordings_[key]);
  (*entry)->deleted = false;
  positions_[key] = (*entry)->last_position;
  return absl::OkStatus();
}

absl::Status Stager::PurgeSeen(const std::string& tenant, const ids::Ulid& id,
                               std::optional<int64_t> purge_time) {
  const std::string key = RecordingKey(tenant, id);
  absl::StatusOr<RecordingEntry*> entry = ledger_.Recording(key);
  if (!entry.ok()) return entry.status();
  std::optional<int64_t> present;
  if ((*entry)->known && (*entry)->deleted) {
    absl::StatusOr<TrashEntry> trashed = ReadEntry<TrashEntry>(Family::kTrash, key);
    if (!trashed.ok()) return trashed.status();
    present = trashed->purge_time;
  }
  if (present == purge_time) return Purge(tenant, id);
  return absl::FailedPreconditionError(absl::StrCat(
      ids::RecordingResourceName(id), " was deleted or brought back meanwhile; it is kept"));
}

absl::Status Stager::Purge(const std::string& tenant, const ids::Ulid& id) {
  const std::string key = RecordingKey(tenant, id);
  absl::StatusOr<RecordingEntry*> entry = ledger_.Recording(key);
  if (!entry.ok()) return entry.status();
  const std::string name = ids::RecordingResourceName(id);
  if (!(*entry)->known) return absl::NotFoundError(absl::StrCat(name, " not found"));
  if (!(*entry)->deleted && (*entry)->state < trace::v1::RECORDING_STATE_SEALED) {
    return absl::FailedPreconditionError(absl::StrCat(name, " is in progress"));
  }
  const std::string end = PrefixEnd(key);
  for (Family family : kRecordingFamilies) {
    write_.DeleteRange(database_.family(family), key, end);
  }
  write_.Put(database_.family(Family::kTombstones), key, "");
  **entry = RecordingEntry{.known = false, .deleted = true};
  ledger_.AddRecordings(-1);
  positions_[key] = 0;
  staged_recordings_.erase(key);
  absl::erase_if(staged_chunks_,
                 [&key](const auto& chunk) { return chunk.first.starts_with(key); });
  return absl::OkStatus();
}

void Stager::Clear(bool written) {
  write_.Clear();
  totals_ = {};
  positions_.clear();
  staged_chunks_.clear();
  staged_recordings_.clear();
  if (written) {
    ledger_.Trim();
  } else {
    ledger_.Forget();
  }
}

}  // namespace flightrec::backend
