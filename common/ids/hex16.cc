#include "common/ids/hex16.h"

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace flightrec::ids {

std::string Hex16(uint64_t id) { return absl::StrCat(absl::Hex(id, absl::kZeroPad16)); }

absl::StatusOr<uint64_t> ParseHex16(absl::string_view text) {
  bool valid = text.size() == 16;
  uint64_t id = 0;
  for (const char c : text) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit && (c < 'a' || c > 'f')) valid = false;
    id = id << 4 | static_cast<uint64_t>(digit ? c - '0' : c - 'a' + 10);
  }
  if (!valid) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", absl::CHexEscape(text.substr(0, 64)),
                     "\" is not an id: expected 16 lower-case hex digits"));
  }
  return id;
}

}  // namespace flightrec::ids
