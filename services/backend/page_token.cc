#include "services/backend/page_token.h"

#include <cstdint>

#include "absl/strings/escaping.h"
#include "common/rpc/status.h"
#include "services/backend/store/keys.h"

namespace flightrec::backend {
namespace {

constexpr char kVersion = 1;
constexpr size_t kHeaderBytes = 1 + sizeof(uint64_t);

// FNV-1a; the same in every process that may see the token.
uint64_t HashOf(absl::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace

std::string EncodePageToken(absl::string_view list, absl::string_view cursor) {
  if (cursor.empty()) return "";
  std::string bytes(1, kVersion);
  AppendU64(bytes, HashOf(list));
  bytes.append(cursor.data(), cursor.size());
  return absl::WebSafeBase64Escape(bytes);
}

absl::StatusOr<std::string> DecodePageToken(absl::string_view list, absl::string_view token) {
  if (token.empty()) return std::string();
  std::string bytes;
  if (!absl::WebSafeBase64Unescape(token, &bytes) || bytes.size() <= kHeaderBytes ||
      bytes[0] != kVersion) {
    return rpc::InvalidField("page_token", "is not a next_page_token of this backend");
  }
  if (ReadU64(bytes.data() + 1) != HashOf(list)) {
    return rpc::InvalidField("page_token",
                             "comes from another list: keep parent and filter from page to page");
  }
  return bytes.substr(kHeaderBytes);
}

}  // namespace flightrec::backend
