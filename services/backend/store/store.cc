#include "services/backend/store/store.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/backend/store/index_entry.h"
#include "services/backend/store/keys.h"

namespace flightrec::backend {
namespace {

// Levenshtein's.
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

// Collects a page out of a scan of keys that begin with `tenant_prefix`; the cursor is the last key
// behind it.
template <typename T>
class PageBuilder {
 public:
  PageBuilder(absl::string_view tenant_prefix, const PageLimits& limits)
      : tenant_prefix_bytes_(tenant_prefix.size()), limits_(limits) {}

  // False: the page is full, or the value does not parse.
  bool Visit(absl::string_view key, absl::string_view value,
             const std::function<bool(const T&)>& keep) {
    if (page_.items.size() == limits_.items || bytes_ >= limits_.bytes ||
        scanned_ == kMaxRecordingsScanned) {
      page_.cursor = std::move(last_key_);
      return false;
    }
    ++scanned_;
    T item;
    if (!item.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
      damaged_ = true;
      return false;
    }
    last_key_ = std::string(key.substr(tenant_prefix_bytes_));
    if (!keep(item)) return true;
    bytes_ += value.size();
    page_.items.push_back(std::move(item));
    return true;
  }

  absl::StatusOr<Page<T>> Build(const absl::Status& scanned) {
    if (!scanned.ok()) return scanned;
    if (damaged_) {
      return absl::DataLossError(
          absl::StrCat("store: an entry of type ", T().GetTypeName(), " does not parse"));
    }
    return std::move(page_);
  }

 private:
  const size_t tenant_prefix_bytes_;
  const PageLimits limits_;
  Page<T> page_;
  std::string last_key_;
  size_t bytes_ = 0;
  size_t scanned_ = 0;
  bool damaged_ = false;
};

// A page of the keys that begin with `prefix`, upwards.
template <typename T>
absl::StatusOr<Page<T>> ListPage(const Database& database, Family family, absl::string_view tenant,
                                 const std::string& prefix, absl::string_view cursor,
                                 const PageLimits& limits) {
  const std::string tenant_prefix = TenantPrefix(tenant);
  std::string begin = prefix;
  if (!cursor.empty()) {
    // The smallest key behind the cursor's.
    begin = std::max(begin, absl::StrCat(tenant_prefix, cursor, absl::string_view("\0", 1)));
  }
  PageBuilder<T> page(tenant_prefix, limits);
  return page.Build(database.Scan(family, begin, PrefixEnd(prefix),
                                  [&page](absl::string_view key, absl::string_view value) {
                                    return page.Visit(key, value, [](const T&) { return true; });
                                  }));
}

// A page of the tenant's keys, downwards.
template <typename T>
absl::StatusOr<Page<T>> ListPageBackwards(const Database& database, Family family,
                                          absl::string_view tenant, absl::string_view cursor,
                                          const PageLimits& limits,
                                          const std::function<bool(const T&)>& keep) {
  const std::string prefix = TenantPrefix(tenant);
  const std::string end = cursor.empty() ? PrefixEnd(prefix) : absl::StrCat(prefix, cursor);
  PageBuilder<T> page(prefix, limits);
  return page.Build(database.ScanBackwards(family, prefix, end,
                                           [&](absl::string_view key, absl::string_view value) {
                                             return page.Visit(key, value, keep);
                                           }));
}

// In pieces: one long scan would keep what is deleted meanwhile.
template <typename T>
absl::Status VisitAll(const Database& database, Family family,
                      const std::function<void(absl::string_view tenant, const T& item)>& visit) {
  std::string next;
  do {
    size_t visited = 0;
    std::string continue_at;
    absl::Status scanned =
        database.Scan(family, next, kLastKey, [&](absl::string_view key, absl::string_view value) {
          if (visited++ == kMaxRecordingsScanned) {
            continue_at = std::string(key);
            return false;
          }
          T item;
          if (RecordingKeyBytes(key) == key.size() &&
              item.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
            visit(TenantOfKey(key), item);
          }
          return true;
        });
    if (!scanned.ok()) return scanned;
    next = std::move(continue_at);
  } while (!next.empty());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> Store::Open(const std::string& directory,
                                                   clock::Clock& clock, metrics::Registry& registry,
                                                   const DatabaseOptions& options,
                                                   uint64_t max_recordings) {
  absl::StatusOr<std::unique_ptr<Database>> database = Database::Open(directory, options);
  if (!database.ok()) return database.status();
  return std::unique_ptr<Store>(new Store(*std::move(database), clock, registry, max_recordings));
}

Store::Store(std::unique_ptr<Database> database, clock::Clock& clock, metrics::Registry& registry,
             uint64_t max_recordings)
    : clock_(clock),
      database_(std::move(database)),
      committer_(*database_, watch_, clock, registry, max_recordings) {}

void Store::OpenProducer(Producer producer, OpenCallback done) {
  committer_.OpenProducer(std::move(producer), std::move(done));
}

void Store::Commit(Batch batch, BatchCallback done) {
  committer_.Commit(std::move(batch), std::move(done));
}

void Store::Delete(std::string tenant, const ids::Ulid& recording, absl::Duration undelete_window,
                   ChangeCallback done) {
  const absl::Time now = clock_.Now();
  committer_.Apply(
      [tenant = std::move(tenant), recording, undelete_window, now](Stager& stager) {
        absl::Status deleted = stager.Delete(tenant, recording, now, now + undelete_window);
        if (!deleted.ok() || undelete_window > absl::ZeroDuration()) return deleted;
        return stager.Purge(tenant, recording);
      },
      std::move(done));
}

void Store::Undelete(std::string tenant, const ids::Ulid& recording, ChangeCallback done) {
  committer_.Apply([tenant = std::move(tenant),
                    recording](Stager& stager) { return stager.Undelete(tenant, recording); },
                   std::move(done));
}

void Store::Purge(std::string tenant, const ids::Ulid& recording, std::optional<int64_t> purge_time,
                  ChangeCallback done) {
  committer_.Apply([tenant = std::move(tenant), recording, purge_time](
                       Stager& stager) { return stager.PurgeSeen(tenant, recording, purge_time); },
                   std::move(done));
}

absl::Status Store::Reclaim() {
  absl::Status result;
  for (Family family : kRecordingFamilies) {
    absl::Status status = database_->Reclaim(family);
    // A damaged table is in the way of its own family only.
    if (!status.ok() && !absl::IsDataLoss(status)) return status;
    result.Update(status);
  }
  return result;
}

absl::Status Store::MakeCheckpoint(const std::string& directory) {
  return database_->MakeCheckpoint(directory);
}

absl::StatusOr<trace::v1::Recording> Store::GetRecording(absl::string_view tenant,
                                                         const ids::Ulid& recording) const {
  absl::StatusOr<std::optional<std::string>> value =
      database_->Get(Family::kRecordings, RecordingKey(tenant, recording));
  if (!value.ok()) return value.status();
  const std::string name = ids::RecordingResourceName(recording);
  if (!value->has_value()) return absl::NotFoundError(absl::StrCat(name, " not found"));
  trace::v1::Recording result;
  if (!result.ParseFromString(**value)) {
    return absl::DataLossError(absl::StrCat("store: the entry of ", name, " does not parse"));
  }
  return result;
}

absl::StatusOr<std::optional<ids::Ulid>> Store::LatestRecording(absl::string_view tenant) const {
  const std::string prefix = TenantPrefix(tenant);
  std::optional<ids::Ulid> latest;
  absl::Status status =
      database_->ScanBackwards(Family::kRecordings, prefix, PrefixEnd(prefix),
                               [&latest, tenant](absl::string_view key, absl::string_view) {
                                 latest = RecordingOfKey(tenant, key);
                                 return false;
                               });
  if (!status.ok()) return status;
  return latest;
}

absl::StatusOr<std::vector<std::string>> Store::NearestRecordings(absl::string_view tenant,
                                                                  absl::string_view name,
                                                                  size_t limit) const {
  const std::string prefix = TenantPrefix(tenant);
  std::vector<std::pair<size_t, std::string>> candidates;
  absl::Status status = database_->ScanBackwards(
      Family::kRecordings, prefix, PrefixEnd(prefix),
      [&](absl::string_view key, absl::string_view) {
        std::string candidate = ids::RecordingResourceName(RecordingOfKey(tenant, key));
        const size_t distance = EditDistance(name, candidate);
        candidates.emplace_back(distance, std::move(candidate));
        return candidates.size() < kMaxNearestScanned;
      });
  if (!status.ok()) return status;
  // Stable: of equally near ones the newest comes first.
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> nearest;
  for (size_t i = 0; i < std::min(limit, candidates.size()); ++i) {
    nearest.push_back(std::move(candidates[i].second));
  }
  return nearest;
}

absl::StatusOr<Page<trace::v1::Recording>> Store::ListRecordings(
    absl::string_view tenant, absl::string_view cursor, const PageLimits& limits,
    const RecordingFilter& keep) const {
  return ListPageBackwards<trace::v1::Recording>(*database_, Family::kRecordings, tenant, cursor,
                                                 limits, keep);
}

absl::StatusOr<Page<TrashEntry>> Store::ListDeletedRecordings(absl::string_view tenant,
                                                              absl::string_view cursor,
                                                              const PageLimits& limits) const {
  return ListPageBackwards<TrashEntry>(*database_, Family::kTrash, tenant, cursor, limits,
                                       [](const TrashEntry&) { return true; });
}

absl::Status Store::VisitRecordings(
    const std::function<void(absl::string_view tenant, const trace::v1::Recording& recording)>&
        visit) const {
  return VisitAll<trace::v1::Recording>(*database_, Family::kRecordings, visit);
}

absl::Status Store::VisitDeletedRecordings(
    const std::function<void(absl::string_view tenant, const TrashEntry& trashed)>& visit) const {
  return VisitAll<TrashEntry>(*database_, Family::kTrash, visit);
}

absl::StatusOr<uint64_t> Store::BytesOf(absl::string_view tenant,
                                        const ids::Ulid& recording) const {
  const std::string prefix = RecordingKey(tenant, recording);
  uint64_t bytes = 0;
  absl::Status scanned = database_->Scan(Family::kChunkIndex, prefix, PrefixEnd(prefix),
                                         [&bytes](absl::string_view, absl::string_view value) {
                                           absl::StatusOr<IndexEntry> entry =
                                               DecodeIndexEntry(value);
                                           if (entry.ok()) bytes += entry->bytes;
                                           return true;
                                         });
  if (!scanned.ok()) return scanned;
  return bytes;
}

absl::StatusOr<Page<trace::v1::Process>> Store::ListProcesses(absl::string_view tenant,
                                                              const ids::Ulid& recording,
                                                              absl::string_view cursor,
                                                              const PageLimits& limits) const {
  return ListPage<trace::v1::Process>(*database_, Family::kProcesses, tenant,
                                      RecordingKey(tenant, recording), cursor, limits);
}

absl::StatusOr<Page<trace::v1::Thread>> Store::ListThreads(absl::string_view tenant,
                                                           const ids::Ulid& recording,
                                                           std::optional<ids::ProcessId> process,
                                                           absl::string_view cursor,
                                                           const PageLimits& limits) const {
  const std::string prefix = process.has_value() ? ProcessKey(tenant, recording, *process)
                                                 : RecordingKey(tenant, recording);
  return ListPage<trace::v1::Thread>(*database_, Family::kThreads, tenant, prefix, cursor, limits);
}

absl::StatusOr<Page<trace::v1::Function>> Store::ListFunctions(absl::string_view tenant,
                                                               const ids::Ulid& recording,
                                                               absl::string_view cursor,
                                                               const PageLimits& limits) const {
  return ListPage<trace::v1::Function>(*database_, Family::kFunctions, tenant,
                                       RecordingKey(tenant, recording), cursor, limits);
}

absl::StatusOr<ChunkCursor> Store::ReadChunks(ChunkQuery query) const {
  return ChunkCursor::Open(*database_, std::move(query));
}

void Store::StartRollups(metrics::Registry& registry, size_t max_pending) {
  rollups_ = std::make_unique<RollupWorker>(*database_, watch_, clock_, registry, max_pending);
}

absl::StatusOr<std::vector<std::string>> Store::ReadRollups(absl::string_view tenant,
                                                            const ids::Ulid& recording,
                                                            uint64_t after_position,
                                                            size_t limit) const {
  std::vector<std::string> rollups;
  absl::Status scanned = database_->Scan(
      Family::kRollups, ChunkKey(tenant, recording, after_position + 1),
      PrefixEnd(RecordingKey(tenant, recording)), [&](absl::string_view, absl::string_view value) {
        rollups.emplace_back(value);
        return rollups.size() < limit;
      });
  if (!scanned.ok()) return scanned;
  return rollups;
}

absl::StatusOr<uint64_t> Store::LastPosition(absl::string_view tenant,
                                             const ids::Ulid& recording) const {
  const std::string key = RecordingKey(tenant, recording);
  uint64_t last = 0;
  absl::Status scanned = database_->ScanBackwards(Family::kChunks, key, PrefixEnd(key),
                                                  [&last](absl::string_view chunk_key, auto) {
                                                    last = LastIdOfKey(chunk_key);
                                                    return false;
                                                  });
  if (!scanned.ok()) return scanned;
  return last;
}

absl::StatusOr<TailCursor> Store::Tail(TailQuery query) const {
  return TailCursor::Open(*database_, std::move(query));
}

}  // namespace flightrec::backend
