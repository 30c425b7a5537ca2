#include "services/backend/store/trash_entry.h"

#include "services/backend/store/keys.h"

namespace flightrec::backend {
namespace {

constexpr int kTimesBytes = 16;

}  // namespace

std::string TrashEntry::SerializeAsString() const {
  std::string bytes;
  AppendU64(bytes, static_cast<uint64_t>(delete_time));
  AppendU64(bytes, static_cast<uint64_t>(purge_time));
  return bytes + recording.SerializeAsString();
}

bool TrashEntry::ParseFromArray(const void* bytes, int size) {
  if (size < kTimesBytes) return false;
  const char* const begin = static_cast<const char*>(bytes);
  delete_time = static_cast<int64_t>(ReadU64(begin));
  purge_time = static_cast<int64_t>(ReadU64(begin + 8));
  return recording.ParseFromArray(begin + kTimesBytes, size - kTimesBytes);
}

}  // namespace flightrec::backend
