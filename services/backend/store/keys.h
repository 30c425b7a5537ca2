// Keys of the store and the names of its column families; FORMAT.md lists them.
//
// Thread-safe: pure functions. Does not check what it is given: a tenant has at most
// kMaxTenantBytes.
#ifndef SERVICES_BACKEND_STORE_KEYS_H_
#define SERVICES_BACKEND_STORE_KEYS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "common/chunk/chunk.h"
#include "common/ids/entity_id.h"
#include "common/ids/ulid.h"

namespace flightrec::backend {

inline constexpr uint32_t kStoreFormatVersion = 2;
// In the default column family.
inline constexpr char kFormatVersionKey[] = "format_version";

// Of callers without a token, and of tokens without a tenant.
inline constexpr char kDefaultTenant[] = "default";
inline constexpr size_t kMaxTenantBytes = 64;

// The order is that of column_families().
enum class Family : size_t {
  kDefault,
  kRecordings,
  kTombstones,
  kProcesses,
  kThreads,
  kFunctions,
  kChunkIndex,
  kChunks,
  kProducers,
  kTrash,
  kRollups,
  kCount,
};
inline constexpr size_t kFamilyCount = static_cast<size_t>(Family::kCount);

const char* FamilyName(Family family);

// Those whose keys begin with a RecordingKey, except the tombstones: what a recording is made of.
inline constexpr std::array kRecordingFamilies = {
    Family::kRecordings, Family::kProcesses, Family::kThreads, Family::kFunctions,
    Family::kChunkIndex, Family::kChunks,    Family::kTrash,   Family::kRollups};

// The length of the tenant in one byte, then the tenant: no tenant's keys are a prefix of
// another's.
std::string TenantPrefix(absl::string_view tenant);

// Also the prefix of every other key of the recording.
std::string RecordingKey(absl::string_view tenant, const ids::Ulid& recording);
std::string ProcessKey(absl::string_view tenant, const ids::Ulid& recording,
                       ids::ProcessId process);
std::string ThreadKey(absl::string_view tenant, const ids::Ulid& recording, ids::ProcessId process,
                      ids::ThreadId thread);
std::string FunctionKey(absl::string_view tenant, const ids::Ulid& recording,
                        ids::FunctionId function);
std::string ChunkIndexKey(absl::string_view tenant, const chunk::ChunkHeader& header);
std::string ChunkKey(absl::string_view tenant, const ids::Ulid& recording, uint64_t position);
std::string ProducerKey(absl::string_view tenant, absl::string_view producer_id);

// Behind every key: no tenant is so long.
inline constexpr absl::string_view kLastKey = "\xff";
// The smallest key that is larger than every key with this prefix. Keys never consist of 0xff only.
std::string PrefixEnd(absl::string_view prefix);

// The tenant of any key but kFormatVersionKey; empty when it is too short to be one.
absl::string_view TenantOfKey(absl::string_view key);
// Where a RecordingKey ends in a longer key; 0 when it is too short.
size_t RecordingKeyBytes(absl::string_view key);
// The recording of a RecordingKey or of a longer key; the key must be one.
ids::Ulid RecordingOfKey(absl::string_view tenant, absl::string_view key);
// The last eight bytes.
uint64_t LastIdOfKey(absl::string_view key);

// What ChunkIndexKey says, behind the tenant.
struct ChunkIdentity {
  ids::Ulid recording;
  ids::ProcessId process = 0;
  ids::ThreadId thread = 0;
  chunk::Lane lane = chunk::Lane::kIndex;
  uint64_t chunk_ordinal = 0;

  bool operator==(const ChunkIdentity&) const = default;
};
ChunkIdentity IdentityOf(const chunk::ChunkHeader& header);
ChunkIdentity IdentityOfKey(absl::string_view tenant, absl::string_view key);
// "chunk 3 of recordings/.../threads/..."
std::string Describe(const ChunkIdentity& identity);

// Big-endian, so that keys sort by number.
void AppendU64(std::string& out, uint64_t value);
void AppendU32(std::string& out, uint32_t value);
uint64_t ReadU64(const char* bytes);
uint32_t ReadU32(const char* bytes);

}  // namespace flightrec::backend

#endif  // SERVICES_BACKEND_STORE_KEYS_H_
