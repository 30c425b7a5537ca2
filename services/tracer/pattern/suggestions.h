// Finds the names that a user who mistyped one may have meant. Holds the best
// candidates seen so far; not thread-safe.

#ifndef SERVICES_TRACER_PATTERN_SUGGESTIONS_H_
#define SERVICES_TRACER_PATTERN_SUGGESTIONS_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace flightrec::pattern {

// Number of single-character edits between the two, or `limit` when there are
// at least that many.
size_t EditDistance(absl::string_view a, absl::string_view b, size_t limit);

class Suggestions {
 public:
  // `wanted` may contain "*" and "?", which are left out of the comparison.
  Suggestions(absl::string_view wanted, size_t limit);

  void Consider(absl::string_view name);

  // Best first; equal ones in alphabetical order.
  std::vector<std::string> Best() const;

 private:
  std::string wanted_;  // lower case
  size_t limit_;
  std::vector<std::pair<size_t, std::string>> best_;  // cost and name, sorted
};

}  // namespace flightrec::pattern

#endif  // SERVICES_TRACER_PATTERN_SUGGESTIONS_H_
