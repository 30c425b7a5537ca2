#include "services/backend/retention.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "common/ids/resource_name.h"
#include "services/backend/store/keys.h"

namespace flightrec::backend {
namespace {

constexpr char kDeleted[] = "deleted";
constexpr char kAge[] = "age";
constexpr char kBytes[] = "bytes";

absl::Time TimeOf(const google::protobuf::Timestamp& timestamp) {
  return absl::FromUnixSeconds(timestamp.seconds()) + absl::Nanoseconds(timestamp.nanos());
}

// On this machine's clock; on the producer's for a recording of an earlier program, which did not
// keep it.
absl::Time EndOf(const trace::v1::Recording& recording, const ids::Ulid& id) {
  if (recording.has_last_received_time()) return TimeOf(recording.last_received_time());
  return recording.has_end_time() ? TimeOf(recording.end_time()) : id.time();
}

}  // namespace

Retention::Retention(Store& store, const RetentionLimits& limits, clock::Clock& clock,
                     log::Logger& logger, metrics::Registry& registry)
    : store_(store),
      limits_(limits),
      clock_(clock),
      logger_(logger),
      registry_(registry),
      recordings_(registry.AddGauge("flightrec_backend_recordings",
                                    "Recordings stored, deleted ones included.")),
      bytes_(registry.AddGauge("flightrec_backend_recordings_bytes", "Bytes of their chunks.")),
      clock_unsound_(registry.AddGauge(
          "flightrec_backend_retention_clock_unsound",
          "1 while nothing is removed for its age because the wall clock was set.")),
      failures_(registry.AddCounter("flightrec_backend_retention_failures_total",
                                    "Looks for recordings to remove that failed.")),
      started_at_(clock.Now()),
      started_after_(clock.Monotonic()) {
  for (const char* reason : {kDeleted, kAge, kBytes}) {
    registry_.AddCounter("flightrec_backend_recordings_purged_total",
                         "Recordings removed for good.", {{"reason", reason}});
  }
}

Retention::~Retention() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) thread_.join();
}

void Retention::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Retention::Run() {
  while (true) {
    absl::StatusOr<size_t> purged = RunOnce();
    if (!purged.ok()) {
      failures_.Add();
      logger_.Warning("retention_failed", {{"status", purged.status()}});
    }
    absl::MutexLock lock(&mutex_);
    if (clock_.AwaitWithTimeout(mutex_, absl::Condition(&stopping_), limits_.interval)) return;
  }
}

absl::StatusOr<size_t> Retention::RunOnce() {
  std::vector<Candidate> recordings;
  if (absl::Status status = Look(recordings); !status.ok()) return status;
  const std::vector<Victim> victims = Choose(recordings);
  size_t purged = 0;
  for (const Victim& victim : victims) {
    absl::Status status = Purge(victim);
    if (absl::IsUnavailable(status) || absl::IsResourceExhausted(status)) return status;
    if (!status.ok()) continue;
    ++purged;
    reclaim_due_ = true;
  }
  if (!reclaim_due_) return purged;
  absl::Status reclaimed = store_.Reclaim();
  // Nothing else is different the next time: a damaged table stays damaged.
  reclaim_due_ = absl::IsUnavailable(reclaimed) || absl::IsResourceExhausted(reclaimed);
  if (!reclaimed.ok()) return reclaimed;
  return purged;
}

absl::Status Retention::Look(std::vector<Candidate>& recordings) {
  const auto add = [&recordings](absl::string_view tenant, const trace::v1::Recording& recording,
                                 std::optional<absl::Time> purge_time) {
    absl::StatusOr<ids::Ulid> id = ids::ParseRecordingResourceName(recording.name());
    if (!id.ok()) return;
    Candidate candidate{std::string(tenant), *id, absl::InfinitePast()};
    candidate.deleted = purge_time.has_value();
    candidate.in_progress = recording.state() < trace::v1::RECORDING_STATE_SEALED;
    candidate.due = EndOf(recording, *id);
    if (candidate.deleted) candidate.due = *purge_time;
    recordings.push_back(std::move(candidate));
  };
  absl::Status visited =
      store_.VisitRecordings([&](absl::string_view tenant, const trace::v1::Recording& recording) {
        add(tenant, recording, std::nullopt);
      });
  if (!visited.ok()) return visited;
  visited = store_.VisitDeletedRecordings([&](absl::string_view tenant, const TrashEntry& trashed) {
    add(tenant, trashed.recording, absl::FromUnixSeconds(trashed.purge_time));
  });
  if (!visited.ok()) return visited;
  uint64_t bytes = 0;
  absl::flat_hash_map<std::string, uint64_t> known;
  for (Candidate& recording : recordings) bytes += recording.bytes = BytesOf(recording, known);
  known_bytes_ = std::move(known);
  recordings_.Set(static_cast<double>(recordings.size()));
  bytes_.Set(static_cast<double>(bytes));
  return absl::OkStatus();
}

uint64_t Retention::BytesOf(const Candidate& recording,
                            absl::flat_hash_map<std::string, uint64_t>& known) {
  const std::string key = RecordingKey(recording.tenant, recording.id);
  const auto it = known_bytes_.find(key);
  const uint64_t bytes = it != known_bytes_.end()
                             ? it->second
                             : store_.BytesOf(recording.tenant, recording.id).value_or(0);
  if (!recording.in_progress) known.emplace(key, bytes);
  return bytes;
}

bool Retention::ClockIsSound(absl::Time now) {
  const absl::Time expected = started_at_ + (clock_.Monotonic() - started_after_);
  const absl::Duration off = now - expected;
  const bool sound = absl::AbsDuration(off) <= kMaxClockStep;
  if (!sound && clock_unsound_.value() == 0) {
    logger_.Warning("retention_clock_unsound", {{"wall_clock_moved_by", off}});
  }
  clock_unsound_.Set(sound ? 0 : 1);
  return sound;
}

std::vector<Retention::Victim> Retention::Choose(const std::vector<Candidate>& recordings) {
  // Read once: it may be set in between.
  const absl::Time now = clock_.Now();
  const bool sound = ClockIsSound(now);
  std::vector<Victim> victims;
  std::vector<const Candidate*> rest;
  uint64_t bytes = 0;
  for (const Candidate& recording : recordings) {
    const bool too_old = limits_.age > absl::ZeroDuration() && !recording.in_progress &&
                         recording.due + limits_.age <= now;
    if (sound && recording.deleted && recording.due <= now) {
      victims.push_back({recording, kDeleted});
    } else if (sound && !recording.deleted && too_old) {
      victims.push_back({recording, kAge});
    } else {
      bytes += recording.bytes;
      if (recording.deleted || !recording.in_progress) rest.push_back(&recording);
    }
  }
  if (limits_.bytes > 0) {
    std::stable_sort(rest.begin(), rest.end(), [](const Candidate* a, const Candidate* b) {
      return std::pair(!a->deleted, a->id) < std::pair(!b->deleted, b->id);
    });
    for (const Candidate* recording : rest) {
      if (bytes <= static_cast<uint64_t>(limits_.bytes)) break;
      bytes -= recording->bytes;
      victims.push_back({*recording, kBytes});
    }
  }
  if (victims.size() > kMaxPurges) victims.resize(kMaxPurges);
  return victims;
}

absl::Status Retention::Purge(const Victim& victim) {
  const Candidate& recording = victim.recording;
  absl::Status result;
  absl::Notification done;
  const std::optional<int64_t> purge_time =
      recording.deleted ? std::optional(absl::ToUnixSeconds(recording.due)) : std::nullopt;
  store_.Purge(recording.tenant, recording.id, purge_time, [&](const absl::Status& status) {
    result = status;
    done.Notify();
  });
  done.WaitForNotification();
  logger_.Info("recording_purged", {{"recording", ids::RecordingResourceName(recording.id)},
                                    {"tenant", recording.tenant},
                                    {"reason", victim.reason},
                                    {"bytes", recording.bytes},
                                    {"status", result}});
  if (!result.ok()) return result;
  registry_
      .AddCounter("flightrec_backend_recordings_purged_total", "Recordings removed for good.",
                  {{"reason", victim.reason}})
      .Add();
  return result;
}

}  // namespace flightrec::backend
