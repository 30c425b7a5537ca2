#include "services/backend/store/ledger.h"

#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/backend/store/keys.h"
#include "services/backend/store/trash_entry.h"

namespace flightrec::backend {
namespace {

constexpr size_t kProducerEntryBytes = 16;

const trace::v1::Recording& RecordingOf(const trace::v1::Recording& recording) { return recording; }
const trace::v1::Recording& RecordingOf(const TrashEntry& trashed) { return trashed.recording; }

}  // namespace

template <typename Stored>
absl::Status Ledger::ReadState(Family family, const std::string& recording_key,
                               RecordingEntry& entry) const {
  absl::StatusOr<std::optional<std::string>> value = database_.Get(family, recording_key);
  if (!value.ok()) return value.status();
  if (!value->has_value()) return absl::OkStatus();
  Stored stored;
  if (!stored.ParseFromArray((*value)->data(), static_cast<int>((*value)->size()))) {
    return absl::DataLossError("store: a recording's entry does not parse");
  }
  entry.known = true;
  const trace::v1::Recording& recording = RecordingOf(stored);
  entry.state = recording.state();
  entry.failed_by_deletion = recording.state() == trace::v1::RECORDING_STATE_FAILED &&
                             absl::StartsWith(recording.failure(), kFailedByDeletion);
  if (recording.has_last_received_time()) {
    entry.last_received = absl::FromUnixSeconds(recording.last_received_time().seconds());
  }
  return absl::OkStatus();
}

std::string EncodeProducerEntry(const ProducerEntry& entry) {
  std::string value;
  value.reserve(kProducerEntryBytes);
  AppendU64(value, entry.epoch);
  AppendU64(value, entry.sequence);
  return value;
}

absl::StatusOr<ProducerEntry*> Ledger::Producer(const std::string& producer_key) {
  if (const auto it = producers_.find(producer_key); it != producers_.end()) return &it->second;
  absl::StatusOr<std::optional<std::string>> value =
      database_.Get(Family::kProducers, producer_key);
  if (!value.ok()) return value.status();
  ProducerEntry entry;
  if (value->has_value()) {
    if ((*value)->size() != kProducerEntryBytes) {
      return absl::DataLossError(
          absl::StrCat("store: a producer's entry has ", (*value)->size(), " bytes"));
    }
    entry = {true, ReadU64((*value)->data()), ReadU64((*value)->data() + 8)};
  }
  return &producers_.emplace(producer_key, entry).first->second;
}

absl::StatusOr<RecordingEntry*> Ledger::Recording(const std::string& recording_key) {
  if (const auto it = recordings_.find(recording_key); it != recordings_.end()) return &it->second;
  absl::StatusOr<RecordingEntry> entry = ReadRecording(recording_key);
  if (!entry.ok()) return entry.status();
  return &recordings_.emplace(recording_key, *entry).first->second;
}

absl::StatusOr<RecordingEntry> Ledger::ReadRecording(const std::string& recording_key) const {
  RecordingEntry entry;
  absl::StatusOr<std::optional<std::string>> tombstone =
      database_.Get(Family::kTombstones, recording_key);
  if (!tombstone.ok()) return tombstone.status();
  absl::Status read = ReadState<trace::v1::Recording>(Family::kRecordings, recording_key, entry);
  if (read.ok() && !entry.known) {
    read = ReadState<TrashEntry>(Family::kTrash, recording_key, entry);
    entry.deleted = entry.known;
  }
  if (!read.ok()) return read;
  if (tombstone->has_value()) entry.deleted = true;
  if (!entry.known) return entry;
  absl::Status status =
      database_.ScanBackwards(Family::kChunks, recording_key, PrefixEnd(recording_key),
                              [&entry](absl::string_view key, absl::string_view) {
                                entry.last_position = LastIdOfKey(key);
                                return false;
                              });
  if (!status.ok()) return status;
  return entry;
}

absl::StatusOr<uint64_t> Ledger::CountRecordings() {
  if (recording_count_.has_value()) return *recording_count_;
  uint64_t count = 0;
  for (const Family family : {Family::kRecordings, Family::kTrash}) {
    absl::Status scanned =
        database_.Scan(family, "", kLastKey, [&count](absl::string_view, absl::string_view) {
          ++count;
          return true;
        });
    if (!scanned.ok()) return scanned;
  }
  recording_count_ = count + static_cast<uint64_t>(std::exchange(uncounted_, 0));
  return *recording_count_;
}

void Ledger::AddRecordings(int64_t count) {
  if (recording_count_.has_value()) {
    *recording_count_ += static_cast<uint64_t>(count);
  } else {
    uncounted_ += count;
  }
}

void Ledger::Trim() {
  if (producers_.size() > kMaxLedgerEntries) producers_.clear();
  if (recordings_.size() > kMaxLedgerEntries) recordings_.clear();
  uncounted_ = 0;
}

void Ledger::Forget() {
  producers_.clear();
  recordings_.clear();
  recording_count_.reset();
  uncounted_ = 0;
}

}  // namespace flightrec::backend
