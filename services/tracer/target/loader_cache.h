// The index of libraries that ldconfig writes for the dynamic loader. Immutable
// after reading, thread-safe; a damaged or missing file is an empty index.

#ifndef SERVICES_TRACER_TARGET_LOADER_CACHE_H_
#define SERVICES_TRACER_TARGET_LOADER_CACHE_H_

#include <map>
#include <string>

#include "absl/strings/string_view.h"

namespace flightrec::target {

class LoaderCache {
 public:
  // The content of /etc/ld.so.cache.
  static LoaderCache Parse(absl::string_view content);
  static LoaderCache ReadFile(const std::string& path);

  // The path of an x86-64 library for every processor, or "".
  std::string Find(const std::string& name) const;
  size_t size() const { return paths_.size(); }

 private:
  std::map<std::string, std::string> paths_;
};

}  // namespace flightrec::target

#endif  // SERVICES_TRACER_TARGET_LOADER_CACHE_H_
