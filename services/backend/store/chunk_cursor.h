// Reads the chunks of a recording one by one, in order of thread and ordinal, as they were when the
// cursor was opened: chunks never change, so those with a later position are left out.
//
// Not thread-safe; use it from one thread at a time. Holds no snapshot and no iterator between
// calls, so a slow reader keeps nothing alive. Verifies each chunk and never gives out one that
// fails.
#ifndef SERVICES_BACKEND_STORE_CHUNK_CURSOR_H_
#define SERVICES_BACKEND_STORE_CHUNK_CURSOR_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/chunk/chunk.h"
#include "common/ids/entity_id.h"
#include "common/ids/ulid.h"
#include "flightrec/trace/v1/trace.pb.h"
#include "services/backend/store/database.h"
#include "services/backend/store/index_entry.h"
#include "services/backend/store/keys.h"

namespace flightrec::backend {

// Index entries read at a time.
inline constexpr size_t kIndexReadAhead = 256;

struct ChunkQuery {
  std::string tenant;
  ids::Ulid recording;
  // 0: all.
  ids::ProcessId process = 0;
  // 0: all; needs the process.
  ids::ThreadId thread = 0;
  chunk::Lane lane = chunk::Lane::kIndex;
  // Only chunks that reach beyond start and begin before end; 0: no bound.
  int64_t start_ns = 0;
  int64_t end_ns = 0;
  uint64_t after_position = 0;
  // Only chunks with calls of one of them, as far as rollups tell; none: all.
  std::vector<ids::FunctionId> function_ids;
};

struct StoredChunk {
  uint64_t position = 0;
  uint32_t call_count = 0;
  std::string data;
};

class ChunkCursor {
 public:
  // NOT_FOUND: the recording is unknown. `database` outlives the cursor.
  static absl::StatusOr<ChunkCursor> Open(const Database& database, ChunkQuery query);

  // As it was when the cursor was opened.
  const trace::v1::Recording& recording() const { return recording_; }
  // Of the recording when the cursor was opened; 0 when it had no chunk.
  uint64_t last_position() const { return last_position_; }

  // Chunks that were left out for the functions they do not have.
  uint64_t pruned() const { return pruned_; }

  // Nothing after the last one. DATA_LOSS: the chunk is damaged (named). ABORTED: the recording was
  // deleted meanwhile.
  absl::StatusOr<std::optional<StoredChunk>> Next();

 private:
  struct Entry {
    ChunkIdentity identity;
    IndexEntry index;
  };

  ChunkCursor(const Database& database, ChunkQuery query)
      : database_(&database), query_(std::move(query)) {}

  absl::Status ReadRecording();
  absl::Status ReadIndex();
  bool Wanted(const Entry& entry) const;
  // False when its rollup says that the chunk has no call of the functions asked for.
  absl::StatusOr<bool> MayHaveFunctions(const Entry& entry) const;
  absl::StatusOr<StoredChunk> Load(const Entry& entry) const;
  absl::Status DeletedMeanwhile() const;

  const Database* database_;
  ChunkQuery query_;
  trace::v1::Recording recording_;
  uint64_t last_position_ = 0;
  uint64_t pruned_ = 0;
  // What the index has from here to end_key_ is still to be read.
  std::string next_key_;
  std::string end_key_;
  std::deque<Entry> ahead_;
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_STORE_CHUNK_CURSOR_H_
