#include "services/backend/store/integrity.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/chunk/codec.h"
#include "common/ids/resource_name.h"
#include "flightrec/read/v1/read.pb.h"
#include "flightrec/trace/v1/trace.pb.h"
#include "services/backend/store/trash_entry.h"

namespace flightrec::backend {
namespace {

bool Parses(Family family, absl::string_view value) {
  const int size = static_cast<int>(value.size());
  switch (family) {
    case Family::kRecordings:
      return trace::v1::Recording().ParseFromArray(value.data(), size);
    case Family::kTrash:
      return TrashEntry().ParseFromArray(value.data(), size);
    case Family::kProcesses:
      return trace::v1::Process().ParseFromArray(value.data(), size);
    case Family::kThreads:
      return trace::v1::Thread().ParseFromArray(value.data(), size);
    case Family::kFunctions:
      return trace::v1::Function().ParseFromArray(value.data(), size);
    case Family::kRollups:
      return read::v1::ChunkRollup().ParseFromArray(value.data(), size);
    default:
      return true;
  }
}

}  // namespace

bool IntegrityScan::Step() {
  if (!begun_) Begin();
  if (ended_ || keys_.empty()) return false;
  const std::string key = std::move(keys_.extract(keys_.begin()).value());
  ++totals_.recordings;
  for (Family family : kRecordingFamilies) {
    if (family != Family::kChunks && family != Family::kChunkIndex) CheckEntries(key, family);
  }
  CheckChunks(key);
  ReportFound();
  return !ended_;
}

void IntegrityScan::Begin() {
  begun_ = true;
  for (Family family : kRecordingFamilies) FindRecordings(family);
  Visit(Family::kProducers, "", kLastKey, "", [](absl::string_view, absl::string_view) {});
  ReportFound();
}

void IntegrityScan::Visit(
    Family family, std::string begin, absl::string_view end, absl::string_view key,
    const std::function<void(absl::string_view key, absl::string_view value)>& visit) {
  while (true) {
    std::string next;
    size_t visited = 0;
    absl::Status scanned = database_.Scan(
        family, begin, end, [&](absl::string_view entry_key, absl::string_view value) {
          if (visited++ == kIntegrityPiece) {
            next = std::string(entry_key);
            return false;
          }
          visit(entry_key, value);
          return true;
        });
    if (!scanned.ok()) Add(key, 0, family, scanned.message());
    ReportFound();
    if (ended_ || next.empty()) return;
    begin = std::move(next);
  }
}

void IntegrityScan::FindRecordings(Family family) {
  std::string next;
  while (true) {
    std::string found;
    absl::Status scanned =
        database_.Scan(family, next, kLastKey, [&found](absl::string_view key, absl::string_view) {
          found = std::string(key);
          return false;
        });
    if (!scanned.ok()) return Add("", 0, family, scanned.message());
    if (found.empty()) return;
    const size_t bytes = RecordingKeyBytes(found);
    if (bytes == 0) {
      Add("", 0, family, "a key that is too short");
      next = absl::StrCat(found, absl::string_view("\0", 1));
      continue;
    }
    found.resize(bytes);
    next = PrefixEnd(found);
    keys_.insert(std::move(found));
  }
}

void IntegrityScan::CheckEntries(const std::string& key, Family family) {
  Visit(family, key, PrefixEnd(key), key, [&](absl::string_view entry, absl::string_view value) {
    if (!Parses(family, value)) Add(entry, 0, family, "an entry that does not parse");
  });
}

void IntegrityScan::ReadIndex(const std::string& key, std::map<uint64_t, IndexedChunk>& index) {
  const std::string tenant(TenantOfKey(key));
  Visit(Family::kChunkIndex, key, PrefixEnd(key), key,
        [&](absl::string_view index_key, absl::string_view value) {
          absl::StatusOr<IndexEntry> entry = DecodeIndexEntry(value);
          if (!entry.ok()) {
            Add(key, 0, Family::kChunkIndex, entry.status().message());
          } else if (!index
                          .emplace(entry->position,
                                   IndexedChunk{IdentityOfKey(tenant, index_key), *entry})
                          .second) {
            Add(key, entry->position, Family::kChunkIndex, "two chunks at one position");
          }
        });
}

void IntegrityScan::CheckChunks(const std::string& key) {
  std::map<uint64_t, IndexedChunk> index;
  ReadIndex(key, index);
  uint64_t last = index.empty() ? 0 : index.rbegin()->first;
  absl::Status scanned = database_.ScanBackwards(Family::kChunks, key, PrefixEnd(key),
                                                 [&last](absl::string_view chunk_key, auto) {
                                                   last = std::max(last, LastIdOfKey(chunk_key));
                                                   return false;
                                                 });
  if (!scanned.ok()) Add(key, 0, Family::kChunks, scanned.message());
  for (uint64_t position = 1; position <= last && !ended_; ++position) {
    const auto indexed = index.find(position);
    CheckChunk(key, position, indexed == index.end() ? nullptr : &indexed->second);
    ReportFound();
  }
}

void IntegrityScan::CheckChunk(const std::string& key, uint64_t position,
                               const IndexedChunk* indexed) {
  std::string chunk_key = key;
  AppendU64(chunk_key, position);
  absl::StatusOr<std::optional<std::string>> data = database_.Get(Family::kChunks, chunk_key);
  if (!data.ok()) return Add(key, position, Family::kChunks, data.status().message());
  if (!data->has_value()) {
    if (IsGone(key)) return;
    return Add(key, position, Family::kChunks, "the chunk is missing");
  }
  ++totals_.chunks;
  totals_.chunk_bytes += (*data)->size();
  absl::StatusOr<chunk::ChunkHeader> header = chunk::DecodeHeader(**data);
  if (!header.ok()) return Add(key, position, Family::kChunks, header.status().message());
  if (indexed == nullptr) {
    // Written since the index was read.
    absl::StatusOr<std::optional<std::string>> entry =
        database_.Get(Family::kChunkIndex, ChunkIndexKey(TenantOfKey(key), *header));
    if (entry.ok() && entry->has_value()) return;
    return Add(key, position, Family::kChunkIndex, "the chunk has no index entry");
  }
  IndexEntry expected = MakeIndexEntry(*header, **data);
  expected.position = position;
  if (IdentityOf(*header) != indexed->identity) {
    Add(key, position, Family::kChunks,
        absl::StrCat("another chunk: ", Describe(IdentityOf(*header))));
  } else if (expected != indexed->entry) {
    Add(key, position, Family::kChunkIndex, "the index entry is not that of the chunk");
  }
}

bool IntegrityScan::IsGone(const std::string& key) const {
  absl::StatusOr<std::optional<std::string>> tombstone = database_.Get(Family::kTombstones, key);
  return tombstone.ok() && tombstone->has_value();
}

void IntegrityScan::Add(absl::string_view key, uint64_t position, Family family,
                        absl::string_view problem) {
  StoreDamage damage;
  if (RecordingKeyBytes(key) != 0) {
    damage.tenant = std::string(TenantOfKey(key));
    damage.recording = ids::RecordingResourceName(RecordingOfKey(damage.tenant, key));
  }
  damage.position = position;
  damage.family = FamilyName(family);
  damage.problem = std::string(problem);
  ++totals_.damages;
  found_.push_back(std::move(damage));
}

void IntegrityScan::ReportFound() {
  for (const StoreDamage& damage : found_) {
    if (!ended_ && !report_(damage)) ended_ = true;
  }
  found_.clear();
}

}  // namespace flightrec::backend
