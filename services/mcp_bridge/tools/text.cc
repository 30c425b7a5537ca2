#include "services/mcp_bridge/tools/text.h"

#include "absl/strings/str_cat.h"

namespace flightrec::mcp_bridge {

std::string CutUtf8(absl::string_view text, size_t max_bytes) {
  constexpr absl::string_view kCutMark = "...";
  if (text.size() <= max_bytes) return std::string(text);
  size_t end = max_bytes - kCutMark.size();
  // 10xxxxxx: the middle of a character.
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return absl::StrCat(text.substr(0, end), kCutMark);
}

std::string DumpJson(const Json& value) {
  return value.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

std::string HexId(uint64_t id) { return absl::StrCat(absl::Hex(id, absl::kZeroPad16)); }

}  // namespace flightrec::mcp_bridge
