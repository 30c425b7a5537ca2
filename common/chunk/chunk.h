// The decoded model of a call chunk: calls of one thread that have ended, as
// columns, with everything a reader needs to place them.
//
// Plain data; as thread-safe as its containers. Does not know depth, parents or
// names: depth and parents follow from paths and ordinals, names from functions.
#ifndef COMMON_CHUNK_CHUNK_H_
#define COMMON_CHUNK_CHUNK_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/clock/calibration.h"
#include "common/ids/entity_id.h"
#include "common/ids/ulid.h"

namespace flightrec::chunk {

enum class Architecture : uint16_t { kX86_64 = 1, kAArch64 = 2 };

enum class Lane : uint8_t { kIndex = 1, kDetail = 2 };

// Readable without decompressing the payload.
struct ChunkHeader {
  // Bits a reader must understand to read the chunk at all.
  uint64_t required_features = 0;
  Architecture architecture = Architecture::kX86_64;
  Lane lane = Lane::kIndex;
  // The thread ended or the recording was sealed: no more chunks of the thread.
  bool is_final = false;

  ids::Ulid recording;
  ids::ProcessId process_id = 0;
  ids::ThreadId thread_id = 0;
  // As the kernel of the traced host numbers it.
  uint32_t tid = 0;
  // Position in the thread's sequence of chunks, from 0 without gaps.
  uint64_t chunk_ordinal = 0;

  clock::Calibration calibration;
  // Largest error of a tick against the TSC; 0 when ticks are TSC reads.
  uint64_t clock_error_ticks = 0;

  // Over the calls in the chunk, 0 if there are none. End is start + duration.
  uint64_t min_start_ticks = 0;
  uint64_t max_end_ticks = 0;
  uint64_t min_ordinal = 0;
  uint64_t max_ordinal = 0;
  uint32_t call_count = 0;

  // Calls that ended after the previous chunk was sealed and left no record.
  // May exceed the sum of CallChunk::lost_before, which lists those whose
  // function is known.
  uint64_t lost_before_total = 0;

  bool operator==(const ChunkHeader&) const = default;
};

struct PathEntry {
  uint64_t path_id = 0;
  // The last function of the path; ParentPath(path_id, function_id) is the rest.
  ids::FunctionId function_id = 0;

  bool operator==(const PathEntry&) const = default;
};

// A call that had not ended. `ordinal` counts the thread's entries from 1.
struct OpenCall {
  uint64_t ordinal = 0;
  uint64_t path_id = 0;
  ids::FunctionId function_id = 0;
  uint64_t start_ticks = 0;

  bool operator==(const OpenCall&) const = default;
};

struct LostCalls {
  ids::FunctionId function_id = 0;
  uint64_t count = 0;

  bool operator==(const LostCalls&) const = default;
};

// Columns are parallel: element i of each describes the i-th call, in strictly
// increasing order of ordinal.
struct CallColumns {
  std::vector<uint64_t> ordinal;
  // Index into CallChunk::paths.
  std::vector<uint32_t> path_index;
  std::vector<uint64_t> start_ticks;
  std::vector<uint64_t> duration_ticks;

  size_t size() const { return ordinal.size(); }
  bool operator==(const CallColumns&) const = default;
};

struct CallChunk {
  ChunkHeader header;
  // Distinct paths. Holds every path of `calls`; parents only if they are known.
  std::vector<PathEntry> paths;
  CallColumns calls;
  // Outermost first: the calls open when the chunk began, or, in a final chunk,
  // the calls that never ended.
  std::vector<OpenCall> open_calls;
  std::vector<LostCalls> lost_before;
  // Calls that a filter left out since the previous chunk was sealed. Only with
  // kFeatureFiltered of format.h.
  std::vector<LostCalls> filtered_before;

  bool operator==(const CallChunk&) const = default;
};

// Sets call_count, min_* and max_* of `header`.
void SummarizeCalls(const CallColumns& calls, ChunkHeader& header);

}  // namespace flightrec::chunk

#endif  // COMMON_CHUNK_CHUNK_H_
