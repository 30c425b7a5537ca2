#include "services/tracer/pattern/user_code.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/match.h"
#include "services/tracer/pattern/glob.h"

namespace flightrec::pattern {
namespace {

constexpr absl::string_view kLibraryFolders[] = {
    "/lib/",           "/lib32/",           "/lib64/",       "/libx32/",
    "/usr/lib/",       "/usr/lib32/",       "/usr/lib64/",   "/usr/libx32/",
    "/usr/local/lib/", "/usr/local/lib32/", "/usr/libexec/", "/usr/local/lib64/",
};

constexpr absl::string_view kSourceFolders[] = {
    "/usr/include/", "/usr/local/include/", "/usr/lib/",
    "/usr/lib64/",   "/usr/local/lib/",     "/rustc/",
};

// Anywhere in the path.
constexpr absl::string_view kSourceParts[] = {
    "/include/c++/",
    "/.cargo/registry/",
    "/.cargo/git/",
    "/.rustup/",
};

}  // namespace

bool IsSystemLibrary(absl::string_view path) {
  return std::any_of(std::begin(kLibraryFolders), std::end(kLibraryFolders),
                     [&](absl::string_view folder) { return absl::StartsWith(path, folder); });
}

bool IsSystemSource(absl::string_view path) {
  return std::any_of(std::begin(kSourceFolders), std::end(kSourceFolders),
                     [&](absl::string_view folder) { return absl::StartsWith(path, folder); }) ||
         std::any_of(std::begin(kSourceParts), std::end(kSourceParts),
                     [&](absl::string_view part) { return absl::StrContains(path, part); });
}

bool IsStandardName(absl::string_view short_name) {
  return absl::StartsWith(short_name, "std::") || absl::StartsWith(short_name, "__gnu_cxx::");
}

bool SourceMatches(absl::string_view glob, absl::string_view path) {
  if (path.empty()) return false;
  if (GlobMatches(glob, path)) return true;
  for (size_t slash = path.find('/'); slash != absl::string_view::npos;
       slash = path.find('/', slash + 1)) {
    if (GlobMatches(glob, path.substr(slash + 1))) return true;
  }
  return false;
}

}  // namespace flightrec::pattern
