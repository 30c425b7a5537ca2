// What is known about producers and recordings while batches are put together: read from the
// database on first use, then kept here, since every commit goes through one thread.
//
// Not thread-safe: belongs to the committing thread. Does not write.
#ifndef SERVICES_BACKEND_STORE_LEDGER_H_
#define SERVICES_BACKEND_STORE_LEDGER_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/container/node_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "flightrec/trace/v1/trace.pb.h"
#include "services/backend/store/database.h"

namespace flightrec::backend {

// Above this many the ledger forgets all it knows and reads again.
inline constexpr size_t kMaxLedgerEntries = 10000;

// What `failure` begins with when something was refused while the recording was in the trash.
inline constexpr char kFailedByDeletion[] = "deleted while it was recorded";

struct ProducerEntry {
  // False: never heard of.
  bool known = false;
  uint64_t epoch = 0;
  uint64_t sequence = 0;
};

std::string EncodeProducerEntry(const ProducerEntry& entry);

struct RecordingEntry {
  // Stored, and not purged.
  bool known = false;
  // Purged, or in the trash.
  bool deleted = false;
  trace::v1::RecordingState state = trace::v1::RECORDING_STATE_UNSPECIFIED;
  // Something of it was refused while it was in the trash: it stays as it is.
  bool failed_by_deletion = false;
  // Of the last chunk; 0: none.
  uint64_t last_position = 0;
  // What the stored recording says.
  absl::Time last_received = absl::InfinitePast();
};

class Ledger {
 public:
  explicit Ledger(const Database& database) : database_(database) {}

  // Keys as in keys.h. The pointers hold until Trim or Forget.
  absl::StatusOr<ProducerEntry*> Producer(const std::string& producer_key);
  absl::StatusOr<RecordingEntry*> Recording(const std::string& recording_key);

  // How many there are, those in the trash included. Counts them on first use.
  absl::StatusOr<uint64_t> CountRecordings();
  // Of what is staged.
  void AddRecordings(int64_t count);

  // After a commit.
  void Trim();
  // After a commit that failed.
  void Forget();

 private:
  absl::StatusOr<RecordingEntry> ReadRecording(const std::string& recording_key) const;
  // Of a Recording in its family, or a TrashEntry in that of the trash.
  template <typename Stored>
  absl::Status ReadState(Family family, const std::string& recording_key,
                         RecordingEntry& entry) const;

  const Database& database_;
  absl::node_hash_map<std::string, ProducerEntry> producers_;
  absl::node_hash_map<std::string, RecordingEntry> recordings_;
  std::optional<uint64_t> recording_count_;
  // Staged before they were counted: the database does not know of it yet.
  int64_t uncounted_ = 0;
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_STORE_LEDGER_H_
