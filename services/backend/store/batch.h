// What producers hand to the store, and what it answers.
//
// Values. Items have been checked one by one (names parse, chunk checksums hold); the store checks
// what depends on what it already holds.
#ifndef SERVICES_BACKEND_STORE_BATCH_H_
#define SERVICES_BACKEND_STORE_BATCH_H_

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "common/chunk/chunk.h"
#include "common/ids/resource_name.h"
#include "common/ids/ulid.h"
#include "flightrec/trace/v1/trace.pb.h"

namespace flightrec::backend {

struct RecordingItem {
  ids::Ulid id;
  trace::v1::Recording recording;
};

struct ProcessItem {
  ids::ProcessName name;
  trace::v1::Process process;
};

struct ThreadItem {
  ids::ThreadName name;
  trace::v1::Thread thread;
};

struct FunctionsItem {
  ids::Ulid recording;
  std::vector<trace::v1::Function> functions;
};

struct ChunkItem {
  chunk::ChunkHeader header;
  // The bytes that `header` was decoded from.
  std::string data;
};

using Item = std::variant<RecordingItem, ProcessItem, ThreadItem, FunctionsItem, ChunkItem>;

// Why a batch is never kept; stable names are in RefusalReasonName.
enum class RefusalReason {
  kBatchTooLarge,
  kItemInvalid,
  kItemTooLarge,
  kChunkTooLarge,
  kChunkInvalid,
  kChunkCorrupt,
  kChunkUnknownVersion,
  kChunkConflict,
  kRecordingUnknown,
  kRecordingSealed,
  kRecordingDeleted,
  kTooManyRecordings,
  kCount,
};
const char* RefusalReasonName(RefusalReason reason);

struct Refusal {
  RefusalReason reason = RefusalReason::kItemInvalid;
  // Which item of the batch, from 0.
  uint32_t item = 0;
  absl::Status status;
};

// Who sends. A tenant is never empty here.
struct Producer {
  std::string tenant;
  std::string id;
  uint64_t epoch = 0;
};

struct Batch {
  Producer producer;
  // From 1 in steps of 1 within the epoch.
  uint64_t sequence = 0;
  std::vector<Item> items;
  // Set: nothing of the batch is kept, but its sequence is taken.
  std::optional<Refusal> refusal;
};

struct BatchResult {
  // Everything up to here is on disk.
  uint64_t durable_sequence = 0;
  std::optional<Refusal> refusal;
  // The sequence was taken before: nothing was done.
  bool duplicate = false;
};

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_STORE_BATCH_H_
