#include "services/tracer/pattern/suggestions.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"

namespace flightrec::pattern {
namespace {

// Longer names are compared by containment only: the distance takes time
// proportional to the product of the lengths.
constexpr size_t kMaxComparedLength = 96;

}  // namespace

size_t EditDistance(absl::string_view a, absl::string_view b, size_t limit) {
  const size_t difference = a.size() > b.size() ? a.size() - b.size() : b.size() - a.size();
  if (difference >= limit) return limit;
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i + 1;
    size_t smallest = row[0];
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
      smallest = std::min(smallest, row[j + 1]);
    }
    if (smallest >= limit) return limit;
  }
  return std::min(row[b.size()], limit);
}

Suggestions::Suggestions(absl::string_view wanted, size_t limit)
    : wanted_(absl::AsciiStrToLower(absl::StrReplaceAll(wanted, {{"*", ""}, {"?", ""}}))),
      limit_(limit) {}

// A name that contains the wanted one costs a half of what it has more; other
// names cost their distance and must share more than two thirds of the letters.
void Suggestions::Consider(absl::string_view name) {
  if (wanted_.empty() || name.empty()) return;
  const std::string lower = absl::AsciiStrToLower(name);
  size_t cost = 0;
  if (absl::StrContains(lower, wanted_)) {
    cost = (lower.size() - wanted_.size()) / 2;
  } else {
    const size_t limit = wanted_.size() / 3 + 1;
    if (std::max(lower.size(), wanted_.size()) > kMaxComparedLength) return;
    cost = EditDistance(wanted_, lower, limit);
    const size_t colons = lower.rfind("::");
    if (colons != std::string::npos) {
      const auto last = absl::string_view(lower).substr(colons + 2);
      cost = std::min(cost, EditDistance(wanted_, last, limit));
    }
    if (cost >= limit) return;
  }
  std::pair<size_t, std::string> candidate(cost, std::string(name));
  auto place = std::lower_bound(best_.begin(), best_.end(), candidate);
  if (place != best_.end() && place->second == candidate.second) return;
  best_.insert(place, std::move(candidate));
  if (best_.size() > limit_) best_.pop_back();
}

std::vector<std::string> Suggestions::Best() const {
  std::vector<std::string> names;
  for (const auto& [cost, name] : best_) names.push_back(name);
  return names;
}

}  // namespace flightrec::pattern
