// Shell-like matching of a whole string: "*" stands for any characters, "?" for
// one. Pure functions, thread-safe. No character classes, no escapes.

#ifndef SERVICES_TRACER_PATTERN_GLOB_H_
#define SERVICES_TRACER_PATTERN_GLOB_H_

#include "absl/strings/string_view.h"

namespace flightrec::pattern {

// Linear in the text for each "*" of the glob.
bool GlobMatches(absl::string_view glob, absl::string_view text);

bool HasWildcard(absl::string_view glob);

}  // namespace flightrec::pattern

#endif  // SERVICES_TRACER_PATTERN_GLOB_H_
