// Reads everything in a store and says what cannot be given out as it was written.
//
// Not thread-safe; one scan at a time per object. Reads in pieces beside writes and deletions: what
// is written while it runs may be left out. Reports between two pieces, so that who takes long to
// hear of a damage keeps nothing of the database waiting. Does not repair.
#ifndef SERVICES_BACKEND_STORE_INTEGRITY_H_
#define SERVICES_BACKEND_STORE_INTEGRITY_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "services/backend/store/database.h"
#include "services/backend/store/index_entry.h"
#include "services/backend/store/keys.h"

namespace flightrec::backend {

struct StoreDamage {
  // Empty when it is not known whose it is.
  std::string tenant;
  // Its resource name; empty as above.
  std::string recording;
  // 0: no chunk, or not known.
  uint64_t position = 0;
  std::string family;
  std::string problem;
};

// Entries of one piece.
inline constexpr size_t kIntegrityPiece = 10000;

struct IntegrityTotals {
  uint64_t recordings = 0;
  uint64_t chunks = 0;
  uint64_t chunk_bytes = 0;
  uint64_t damages = 0;
};

class IntegrityScan {
 public:
  // Returns false to end the scan. May block.
  using Report = std::function<bool(const StoreDamage& damage)>;

  // `database` outlives the scan.
  IntegrityScan(const Database& database, Report report)
      : database_(database), report_(std::move(report)) {}

  // The next recording with all that belongs to it; false: there is none left, or the report ended
  // the scan.
  bool Step();
  const IntegrityTotals& totals() const { return totals_; }

 private:
  struct IndexedChunk {
    ChunkIdentity identity;
    IndexEntry entry;
  };

  void Begin();
  void FindRecordings(Family family);
  // Visits the entries from `begin` to `end` and reports what they add, piece by piece; an error is
  // a damage of the recording with `key`.
  void Visit(Family family, std::string begin, absl::string_view end, absl::string_view key,
             const std::function<void(absl::string_view key, absl::string_view value)>& visit);
  void CheckEntries(const std::string& key, Family family);
  void CheckChunks(const std::string& key);
  void ReadIndex(const std::string& key, std::map<uint64_t, IndexedChunk>& index);
  void CheckChunk(const std::string& key, uint64_t position, const IndexedChunk* indexed);
  // Deleted while the scan was at it.
  bool IsGone(const std::string& key) const;
  void Add(absl::string_view key, uint64_t position, Family family, absl::string_view problem);
  void ReportFound();

  const Database& database_;
  const Report report_;
  IntegrityTotals totals_;
  bool begun_ = false;
  bool ended_ = false;
  // Not reported yet.
  std::vector<StoreDamage> found_;
  // Keys of recordings that are still to be checked.
  std::set<std::string> keys_;
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_STORE_INTEGRITY_H_
