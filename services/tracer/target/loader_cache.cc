#include "services/tracer/target/loader_cache.h"

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>

namespace flightrec::target {
namespace {

constexpr absl::string_view kMagic = "glibc-ld.so.cache1.1";
constexpr uint32_t kX86Libc6 = 0x0303;  // of the flags of an entry

// Behind the magic; offsets of strings are from the start of the magic.
struct Header {
  uint32_t entries;
  uint32_t string_bytes;
  uint8_t flags;
  uint8_t padding[3];
  uint32_t extensions;
  uint32_t unused[3];
};
static_assert(sizeof(Header) == 28);

struct Entry {
  uint32_t flags;
  uint32_t key;
  uint32_t value;
  uint32_t os_version;
  uint64_t hardware;  // not 0: only for some processors
};
static_assert(sizeof(Entry) == 24);

std::string TextAt(absl::string_view content, uint32_t offset) {
  if (offset >= content.size()) return "";
  return std::string(content.data() + offset,
                     strnlen(content.data() + offset, content.size() - offset));
}

}  // namespace

LoaderCache LoaderCache::Parse(absl::string_view content) {
  LoaderCache cache;
  // Older formats come first in the file, for older loaders.
  const size_t start = content.find(kMagic);
  if (start == absl::string_view::npos) return cache;
  content.remove_prefix(start);
  size_t at = kMagic.size();
  Header header;
  if (content.size() < at + sizeof(header)) return cache;
  std::memcpy(&header, content.data() + at, sizeof(header));
  at += sizeof(header);
  for (uint32_t i = 0; i < header.entries && content.size() - at >= sizeof(Entry); ++i) {
    Entry entry;
    std::memcpy(&entry, content.data() + at, sizeof(entry));
    at += sizeof(entry);
    if (entry.flags != kX86Libc6 || entry.hardware != 0) continue;
    cache.paths_.emplace(TextAt(content, entry.key), TextAt(content, entry.value));
  }
  return cache;
}

LoaderCache LoaderCache::ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string content((std::istreambuf_iterator<char>(file)),
                            std::istreambuf_iterator<char>());
  return Parse(content);
}

std::string LoaderCache::Find(const std::string& name) const {
  const auto found = paths_.find(name);
  return found == paths_.end() ? "" : found->second;
}

}  // namespace flightrec::target
