#include "services/mcp_bridge/tools/answer.h"

#include <utility>

#include "services/mcp_bridge/tools/text.h"

namespace flightrec::mcp_bridge {
namespace {

Json Assemble(const Json& head, const ListPart& part, size_t count, const Json& tail) {
  Json answer = head;
  const bool truncated = part.more || count < part.total;
  answer["total"] = part.total;
  if (part.more) answer["total_is_lower_bound"] = true;
  answer["returned"] = count;
  answer["truncated"] = truncated;
  Json list = Json::array();
  for (size_t i = 0; i < count; ++i) list.push_back(part.items[i]);
  answer[part.key] = std::move(list);
  for (const auto& [key, value] : tail.items()) answer[key] = value;
  if (truncated) answer["next"] = part.how_to_see_more;
  return answer;
}

}  // namespace

size_t EstimateTokens(absl::string_view text) {
  return (text.size() + kBytesPerToken - 1) / kBytesPerToken;
}

Json MakeListAnswer(Json head, ListPart part, Json tail, int max_tokens) {
  const size_t budget = static_cast<size_t>(max_tokens) * kBytesPerToken;
  // Room for "returned" growing to its final digits and for "next".
  constexpr size_t kSlack = 32;
  size_t used =
      DumpJson(Assemble(head, part, 0, tail)).size() + part.how_to_see_more.size() + kSlack;
  size_t count = 0;
  for (const Json& item : part.items) {
    used += DumpJson(item).size() + 1;
    if (used > budget) break;
    ++count;
  }
  return Assemble(head, part, count, tail);
}

}  // namespace flightrec::mcp_bridge
