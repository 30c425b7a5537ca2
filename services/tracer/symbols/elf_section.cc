#include "services/tracer/symbols/elf_section.h"

#include <elf.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"

// Not in the elf.h of older C libraries.
#ifndef ELFCOMPRESS_ZSTD
#define ELFCOMPRESS_ZSTD 2
#endif

namespace flightrec::symbols {
namespace {

// zlib gives at most 1,032 bytes for one.
constexpr uint64_t kMaxZlibRatio = 1032;

bool InflateZlib(const std::vector<uint8_t>& packed, std::vector<uint8_t>& bytes) {
  uLongf size = bytes.size();
  const int result = uncompress(bytes.data(), &size, packed.data() + sizeof(Elf64_Chdr),
                                packed.size() - sizeof(Elf64_Chdr));
  return result == Z_OK && size == bytes.size();
}

bool InflateZstd(const std::vector<uint8_t>& packed, std::vector<uint8_t>& bytes) {
  const size_t size =
      ZSTD_decompress(bytes.data(), bytes.size(), packed.data() + sizeof(Elf64_Chdr),
                      packed.size() - sizeof(Elf64_Chdr));
  return size == bytes.size();
}

// nullptr when the file has no section of this name with content.
const Elf64_Shdr* FindSection(const ElfFile& file, absl::string_view name) {
  uint64_t names = file.header().e_shstrndx;
  const std::vector<Elf64_Shdr>& sections = file.sections();
  if (names == SHN_XINDEX && !sections.empty()) names = sections[0].sh_link;
  if (names >= sections.size()) return nullptr;
  const auto text = file.Read(sections[names].sh_offset, sections[names].sh_size);
  if (!text.ok()) return nullptr;
  for (const Elf64_Shdr& section : sections) {
    if (section.sh_type == SHT_NOBITS || section.sh_type == SHT_NULL) continue;
    if (section.sh_name >= text->size()) continue;
    const char* own = reinterpret_cast<const char*>(text->data()) + section.sh_name;
    if (name == absl::string_view(own, strnlen(own, text->size() - section.sh_name))) {
      return &section;
    }
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<ElfSection> ElfSection::Open(const ElfFile& file, absl::string_view name) {
  const Elf64_Shdr* header = FindSection(file, name);
  if (header == nullptr) {
    return absl::NotFoundError(absl::StrCat(file.path(), " has no section ", name));
  }
  ElfSection section(file, header->sh_offset, header->sh_size);
  if ((header->sh_flags & SHF_COMPRESSED) == 0) return section;
  if (absl::Status unpacked = section.Unpack(name); !unpacked.ok()) return unpacked;
  return section;
}

bool ElfSection::Exists(const ElfFile& file, absl::string_view name) {
  return FindSection(file, name) != nullptr;
}

uint64_t ElfSection::Address(const ElfFile& file, absl::string_view name) {
  const Elf64_Shdr* header = FindSection(file, name);
  return header == nullptr || (header->sh_flags & SHF_ALLOC) == 0 ? 0 : header->sh_addr;
}

absl::Status ElfSection::Unpack(absl::string_view name) {
  const auto packed = file_->Read(offset_, size_);
  if (!packed.ok()) return packed.status();
  Elf64_Chdr header{};
  if (packed->size() < sizeof(header)) {
    return file_->Damaged(absl::StrCat("section ", name, " is cut off"));
  }
  std::memcpy(&header, packed->data(), sizeof(header));
  if (header.ch_size > kMaxUnpackedBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("section ", name, " of ", file_->path(), " has ", header.ch_size,
                     " bytes unpacked, at most ", kMaxUnpackedBytes, " are read"));
  }
  const bool zlib = header.ch_type == ELFCOMPRESS_ZLIB;
  if (!zlib && header.ch_type != ELFCOMPRESS_ZSTD) {
    return file_->Damaged(
        absl::StrCat("section ", name, " is compressed in the unknown way ", header.ch_type));
  }
  if (zlib && header.ch_size / kMaxZlibRatio > packed->size()) {
    return file_->Damaged(absl::StrCat("section ", name, " has an impossible size"));
  }
  unpacked_bytes_.resize(header.ch_size);
  if (!(zlib ? InflateZlib(*packed, unpacked_bytes_) : InflateZstd(*packed, unpacked_bytes_))) {
    return file_->Damaged(absl::StrCat("section ", name, " cannot be unpacked"));
  }
  unpacked_ = true;
  size_ = unpacked_bytes_.size();
  return absl::OkStatus();
}

absl::StatusOr<std::vector<uint8_t>> ElfSection::Read(uint64_t offset, uint64_t size) const {
  if (offset > size_ || size > size_ - offset) {
    return file_->Damaged(absl::StrCat("it refers to bytes [", offset, ", +", size,
                                       ") of a section of ", size_, " bytes"));
  }
  if (!unpacked_) return file_->Read(offset_ + offset, size);
  const auto begin = unpacked_bytes_.begin() + static_cast<ptrdiff_t>(offset);
  return std::vector<uint8_t>(begin, begin + static_cast<ptrdiff_t>(size));
}

std::string ElfSection::Text(uint64_t offset) const {
  if (offset >= size_) return "";
  const uint64_t wanted = std::min(kMaxTextBytes, size_ - offset);
  const auto bytes = Read(offset, wanted);
  if (!bytes.ok()) return "";
  const char* text = reinterpret_cast<const char*>(bytes->data());
  const size_t length = strnlen(text, bytes->size());
  return length < bytes->size() ? std::string(text, length) : "";
}

}  // namespace flightrec::symbols
