#include "services/backend/store/keys.h"

#include <array>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/ids/resource_name.h"

namespace flightrec::backend {
namespace {

constexpr std::array<const char*, kFamilyCount> kFamilyNames = {
    "default",     "recordings", "tombstones", "processes", "threads", "functions",
    "chunk_index", "chunks",     "producers",  "trash",     "rollups",
};

}  // namespace

const char* FamilyName(Family family) { return kFamilyNames[static_cast<size_t>(family)]; }

void AppendU64(std::string& out, uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}

void AppendU32(std::string& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}

uint64_t ReadU64(const char* bytes) {
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

uint32_t ReadU32(const char* bytes) {
  uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

std::string TenantPrefix(absl::string_view tenant) {
  std::string key;
  key.reserve(1 + tenant.size() + ids::Ulid::kBytes + 4 * sizeof(uint64_t));
  key.push_back(static_cast<char>(tenant.size()));
  key.append(tenant.data(), tenant.size());
  return key;
}

absl::string_view TenantOfKey(absl::string_view key) {
  if (key.empty()) return key;
  return key.substr(1).substr(0, static_cast<uint8_t>(key[0]));
}

size_t RecordingKeyBytes(absl::string_view key) {
  if (key.empty()) return 0;
  const size_t bytes = 1 + static_cast<uint8_t>(key[0]) + ids::Ulid::kBytes;
  return key.size() < bytes ? 0 : bytes;
}

std::string RecordingKey(absl::string_view tenant, const ids::Ulid& recording) {
  std::string key = TenantPrefix(tenant);
  key.append(reinterpret_cast<const char*>(recording.bytes().data()), ids::Ulid::kBytes);
  return key;
}

std::string ProcessKey(absl::string_view tenant, const ids::Ulid& recording,
                       ids::ProcessId process) {
  std::string key = RecordingKey(tenant, recording);
  AppendU64(key, process);
  return key;
}

std::string ThreadKey(absl::string_view tenant, const ids::Ulid& recording, ids::ProcessId process,
                      ids::ThreadId thread) {
  std::string key = ProcessKey(tenant, recording, process);
  AppendU64(key, thread);
  return key;
}

std::string FunctionKey(absl::string_view tenant, const ids::Ulid& recording,
                        ids::FunctionId function) {
  return ProcessKey(tenant, recording, function);
}

std::string ChunkIndexKey(absl::string_view tenant, const chunk::ChunkHeader& header) {
  std::string key = ThreadKey(tenant, header.recording, header.process_id, header.thread_id);
  key.push_back(static_cast<char>(header.lane));
  AppendU64(key, header.chunk_ordinal);
  return key;
}

std::string ChunkKey(absl::string_view tenant, const ids::Ulid& recording, uint64_t position) {
  std::string key = RecordingKey(tenant, recording);
  AppendU64(key, position);
  return key;
}

std::string ProducerKey(absl::string_view tenant, absl::string_view producer_id) {
  std::string key = TenantPrefix(tenant);
  key.append(producer_id.data(), producer_id.size());
  return key;
}

std::string PrefixEnd(absl::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && static_cast<uint8_t>(end.back()) == 0xff) end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<uint8_t>(end.back()) + 1);
  return end;
}

ids::Ulid RecordingOfKey(absl::string_view tenant, absl::string_view key) {
  ids::Ulid::Bytes bytes;
  std::memcpy(bytes.data(), key.data() + 1 + tenant.size(), bytes.size());
  return ids::Ulid(bytes);
}

uint64_t LastIdOfKey(absl::string_view key) {
  return ReadU64(key.data() + key.size() - sizeof(uint64_t));
}

ChunkIdentity IdentityOf(const chunk::ChunkHeader& header) {
  return {header.recording, header.process_id, header.thread_id, header.lane, header.chunk_ordinal};
}

ChunkIdentity IdentityOfKey(absl::string_view tenant, absl::string_view key) {
  const char* ids = key.data() + 1 + tenant.size() + ids::Ulid::kBytes;
  ChunkIdentity identity;
  identity.recording = RecordingOfKey(tenant, key);
  identity.process = ReadU64(ids);
  identity.thread = ReadU64(ids + 8);
  identity.lane = static_cast<chunk::Lane>(ids[16]);
  identity.chunk_ordinal = ReadU64(ids + 17);
  return identity;
}

std::string Describe(const ChunkIdentity& identity) {
  return absl::StrCat(
      "chunk ", identity.chunk_ordinal, " of ",
      ids::ThreadResourceName(identity.recording, identity.process, identity.thread));
}

}  // namespace flightrec::backend
