// Keeps an answer within the tokens the agent granted. Tokens are estimated at
// kBytesPerToken bytes of JSON text: identifiers and digits split finer than
// prose, so 3 errs on the safe side. Stateless.
#ifndef FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_ANSWER_H_
#define FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_ANSWER_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "services/mcp_bridge/tools/tool.h"

namespace flightrec::mcp_bridge {

inline constexpr size_t kBytesPerToken = 3;
inline constexpr int kDefaultMaxTokens = 4000;
// The frame of an answer with its completeness always fits in this.
inline constexpr int kMinMaxTokens = 1000;
inline constexpr int kMaxMaxTokens = 50000;
// Of one text inside an answer.
inline constexpr size_t kMaxNameBytes = 200;

size_t EstimateTokens(absl::string_view text);

struct ListPart {
  // Key of the list in the answer.
  std::string key;
  // In the order they are shown.
  std::vector<Json> items;
  // How many there are in all; `items` may be fewer.
  uint64_t total = 0;
  // Set when `total` is only what was seen and there is more.
  bool more = false;
  // What the agent can do to see the rest.
  std::string how_to_see_more;
};

// `head`, then total, returned, truncated, the list with as many items as fit
// into `max_tokens`, `tail`, and "next" when something is left out.
Json MakeListAnswer(Json head, ListPart part, Json tail, int max_tokens);

}  // namespace flightrec::mcp_bridge

#endif  // FLIGHTREC_SERVICES_MCP_BRIDGE_TOOLS_ANSWER_H_
