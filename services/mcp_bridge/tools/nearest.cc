#include "services/mcp_bridge/tools/nearest.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "absl/strings/str_join.h"

namespace flightrec::mcp_bridge {
namespace {

// Levenshtein distance. Both names are short: tool names, arguments, ids.
size_t Edits(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
    }
  }
  return row.back();
}

}  // namespace

std::string NearestNames(absl::string_view wrong, std::vector<std::string> names) {
  constexpr size_t kMaxCompared = 64;
  wrong = wrong.substr(0, kMaxCompared);
  std::vector<std::pair<size_t, std::string>> ranked;
  for (std::string& name : names) {
    const size_t edits = Edits(wrong, absl::string_view(name).substr(0, kMaxCompared));
    ranked.emplace_back(edits, std::move(name));
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  ranked.resize(std::min(ranked.size(), kMaxNearest));
  return absl::StrJoin(ranked, ", ",
                       [](std::string* out, const auto& entry) { out->append(entry.second); });
}

}  // namespace flightrec::mcp_bridge
