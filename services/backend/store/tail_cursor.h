// Follows the chunks of a recording in the order in which they became durable. What was there when
// the cursor was opened is given in full; of what comes later, a reader that falls too far behind
// gets the newest part and is told which positions it missed.
//
// Not thread-safe; use it from one thread at a time. Holds no chunk, snapshot or iterator between
// calls: the database is the buffer. Verifies each chunk and never gives out one that fails.
#ifndef SERVICES_BACKEND_STORE_TAIL_CURSOR_H_
#define SERVICES_BACKEND_STORE_TAIL_CURSOR_H_

#include <cstdint>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/ids/ulid.h"
#include "services/backend/store/chunk_cursor.h"
#include "services/backend/store/database.h"

namespace flightrec::backend {

struct TailQuery {
  std::string tenant;
  ids::Ulid recording;
  // The first chunk given is the one after it.
  uint64_t after_position = 0;
  // A reader this many chunks behind the last one misses the older half of them.
  uint64_t max_lag_chunks = 0;
};

// Nothing new yet.
struct TailWaits {};
// Positions that were not given, both included.
struct TailGap {
  uint64_t first_position = 0;
  uint64_t last_position = 0;
};
// The recording will get no more chunks, and all were given.
struct TailEnd {
  uint64_t last_position = 0;
};
using TailStep = std::variant<TailWaits, StoredChunk, TailGap, TailEnd>;

class TailCursor {
 public:
  // NOT_FOUND: the recording is unknown. OUT_OF_RANGE: it has no such position yet. `database`
  // outlives the cursor.
  static absl::StatusOr<TailCursor> Open(const Database& database, TailQuery query);

  // `last_position`: what CommitWatch says. DATA_LOSS: the chunk is damaged (named). ABORTED: the
  // recording was deleted meanwhile.
  absl::StatusOr<TailStep> Next(uint64_t last_position);

 private:
  TailCursor(const Database& database, TailQuery query)
      : database_(&database), query_(std::move(query)) {}

  absl::StatusOr<uint64_t> ReadLastPosition() const;
  // Whether it gets no more chunks. ABORTED: it was deleted.
  absl::StatusOr<bool> IsOver() const;
  absl::StatusOr<TailStep> NextChunk();
  absl::StatusOr<TailStep> NextWithoutChunk();

  const Database* database_;
  TailQuery query_;
  // Given, or named in a gap.
  uint64_t position_ = 0;
  uint64_t last_position_ = 0;
  // Up to here all is given.
  uint64_t history_end_ = 0;
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_STORE_TAIL_CURSOR_H_
