// One section of an ELF file, read piece by piece so that debug information of
// any size costs the memory of the pieces only. A compressed section
// (SHF_COMPRESSED, zlib or zstd) is unpacked whole when it is opened. Refers to
// the ElfFile, which must outlive it. Thread-compatible.

#ifndef SERVICES_TRACER_SYMBOLS_ELF_SECTION_H_
#define SERVICES_TRACER_SYMBOLS_ELF_SECTION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "services/tracer/symbols/elf_file.h"

namespace flightrec::symbols {

class ElfSection {
 public:
  // More than this is not unpacked.
  static constexpr uint64_t kMaxUnpackedBytes = 1ull << 30;

  // NOT_FOUND: the file has no content under this name. INVALID_ARGUMENT: the
  // section is damaged or not compressed in a known way. RESOURCE_EXHAUSTED:
  // larger than kMaxUnpackedBytes when unpacked.
  static absl::StatusOr<ElfSection> Open(const ElfFile& file, absl::string_view name);
  // Whether Open would not say NOT_FOUND.
  static bool Exists(const ElfFile& file, absl::string_view name);
  // Where it is in memory (vaddr); 0: it does not exist, or is not loaded.
  static uint64_t Address(const ElfFile& file, absl::string_view name);

  // Bytes, unpacked.
  uint64_t size() const { return size_; }

  // INVALID_ARGUMENT when the range is not inside the section.
  absl::StatusOr<std::vector<uint8_t>> Read(uint64_t offset, uint64_t size) const;

  // The NUL-terminated text at `offset`; empty when there is none or it has
  // more than kMaxTextBytes.
  std::string Text(uint64_t offset) const;
  static constexpr uint64_t kMaxTextBytes = 4096;

 private:
  ElfSection(const ElfFile& file, uint64_t offset, uint64_t size)
      : file_(&file), offset_(offset), size_(size) {}

  absl::Status Unpack(absl::string_view name);

  const ElfFile* file_;
  uint64_t offset_;  // in the file
  uint64_t size_;
  bool unpacked_ = false;
  std::vector<uint8_t> unpacked_bytes_;
};

}  // namespace flightrec::symbols

#endif  // SERVICES_TRACER_SYMBOLS_ELF_SECTION_H_
