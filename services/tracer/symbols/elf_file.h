// An open ELF64 x86-64 file: its headers, and reads that are checked against
// its size. Owns the descriptor. Thread-compatible. Interprets no symbols.

#ifndef SERVICES_TRACER_SYMBOLS_ELF_FILE_H_
#define SERVICES_TRACER_SYMBOLS_ELF_FILE_H_

#include <elf.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace flightrec::symbols {

class ElfFile {
 public:
  // Statuses as of ReadModule.
  static absl::StatusOr<ElfFile> Open(const std::string& path);
  ~ElfFile();
  ElfFile(ElfFile&& other) noexcept;
  ElfFile(const ElfFile&) = delete;
  ElfFile& operator=(const ElfFile&) = delete;

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }  // bytes
  const Elf64_Ehdr& header() const { return header_; }
  const std::vector<Elf64_Phdr>& program_headers() const { return programs_; }
  // Empty when the file has none or they are damaged: they are not needed to
  // run the file.
  const std::vector<Elf64_Shdr>& sections() const { return sections_; }

  // INVALID_ARGUMENT when the range is not inside the file.
  absl::StatusOr<std::vector<uint8_t>> Read(uint64_t offset, uint64_t size) const;

  absl::Status Damaged(const std::string& what) const;

 private:
  ElfFile(std::string path, int descriptor, uint64_t size)
      : path_(std::move(path)), descriptor_(descriptor), size_(size) {}

  absl::Status ReadHeader();
  absl::Status ReadProgramHeaders();
  void ReadSections();

  std::string path_;
  int descriptor_;
  uint64_t size_;
  Elf64_Ehdr header_{};
  std::vector<Elf64_Phdr> programs_;
  std::vector<Elf64_Shdr> sections_;
};

}  // namespace flightrec::symbols

#endif  // SERVICES_TRACER_SYMBOLS_ELF_FILE_H_
