#include "services/tracer/pattern/glob.h"

namespace flightrec::pattern {

// On a mismatch only the last "*" needs another try: an earlier one could not
// do better.
bool GlobMatches(absl::string_view glob, absl::string_view text) {
  size_t g = 0;
  size_t t = 0;
  size_t star = absl::string_view::npos;
  size_t star_text = 0;
  while (t < text.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      star_text = t;
    } else if (g < glob.size() && (glob[g] == '?' || glob[g] == text[t])) {
      ++g;
      ++t;
    } else if (star != absl::string_view::npos) {
      g = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

bool HasWildcard(absl::string_view glob) {
  return glob.find_first_of("*?") != absl::string_view::npos;
}

}  // namespace flightrec::pattern
