// Tells a program's own code from that of the system, by where files are. Pure
// functions, thread-safe. Looks at names only, not at the files.

#ifndef SERVICES_TRACER_PATTERN_USER_CODE_H_
#define SERVICES_TRACER_PATTERN_USER_CODE_H_

#include "absl/strings/string_view.h"

namespace flightrec::pattern {

// A shared library below /lib, /usr/lib or /usr/local/lib, their 32 and 64
// twins included.
bool IsSystemLibrary(absl::string_view path);

// A source file of the C and C++ libraries, of the compiler, of Rust's standard
// library or of a package that cargo or rustup fetched. An empty path is not.
bool IsSystemSource(absl::string_view path);

// Whether a function without a source file is the C++ library's, by its name
// without arguments: templates are compiled into the programs that use them.
bool IsStandardName(absl::string_view short_name);

// `glob` over the whole path, or over its end from the beginning of a folder's
// or the file's name: "parser.cc", "src/*.cc" and "*/src/*.cc" all match
// "/src/me/src/parser.cc". "*" stands for slashes too.
bool SourceMatches(absl::string_view glob, absl::string_view path);

}  // namespace flightrec::pattern

#endif  // SERVICES_TRACER_PATTERN_USER_CODE_H_
