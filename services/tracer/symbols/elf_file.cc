#include "services/tracer/symbols/elf_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace flightrec::symbols {
namespace {

std::string FirstBytes(const unsigned char* ident, uint64_t size) {
  std::string text;
  for (uint64_t i = 0; i < std::min<uint64_t>(size, 4); ++i) {
    absl::StrAppendFormat(&text, "%s%02x", i == 0 ? "" : " ", ident[i]);
  }
  return text.empty() ? "is empty" : absl::StrCat("starts with ", text);
}

absl::Status CannotOpen(const std::string& path, int error) {
  const std::string message = absl::StrCat("cannot open ", path, ": ", std::strerror(error));
  if (error == ENOENT || error == ENOTDIR) return absl::NotFoundError(message);
  if (error == EACCES || error == EPERM) {
    return absl::PermissionDeniedError(message);
  }
  return absl::ErrnoToStatus(error, absl::StrCat("cannot open ", path));
}

}  // namespace

absl::StatusOr<ElfFile> ElfFile::Open(const std::string& path) {
  // O_NONBLOCK: opening a FIFO must not wait for a writer.
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) return CannotOpen(path, errno);
  struct stat status {};
  if (fstat(descriptor, &status) != 0) {
    const int error = errno;
    close(descriptor);
    return CannotOpen(path, error);
  }
  ElfFile file(path, descriptor, static_cast<uint64_t>(status.st_size));
  if (!S_ISREG(status.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is not a regular file; give an ELF program"));
  }
  if (absl::Status read = file.ReadHeader(); !read.ok()) return read;
  if (absl::Status read = file.ReadProgramHeaders(); !read.ok()) return read;
  file.ReadSections();
  return file;
}

ElfFile::~ElfFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

ElfFile::ElfFile(ElfFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_),
      header_(other.header_),
      programs_(std::move(other.programs_)),
      sections_(std::move(other.sections_)) {}

absl::Status ElfFile::Damaged(const std::string& what) const {
  return absl::InvalidArgumentError(absl::StrCat(path_, " is a damaged ELF file: ", what));
}

absl::StatusOr<std::vector<uint8_t>> ElfFile::Read(uint64_t offset, uint64_t size) const {
  if (offset > size_ || size > size_ - offset) {
    return Damaged(absl::StrFormat("it refers to bytes [%#x, +%#x) of a file of %#x bytes", offset,
                                   size, size_));
  }
  std::vector<uint8_t> bytes(size);
  uint64_t done = 0;
  while (done < size) {
    const ssize_t got =
        pread(descriptor_, bytes.data() + done, size - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot read ", path_));
    if (got == 0) return Damaged("it became shorter while it was read");
    done += static_cast<uint64_t>(got);
  }
  return bytes;
}

absl::Status ElfFile::ReadHeader() {
  auto bytes = Read(0, std::min<uint64_t>(size_, sizeof(header_)));
  if (!bytes.ok()) return bytes.status();
  std::copy(bytes->begin(), bytes->end(), reinterpret_cast<uint8_t*>(&header_));
  const unsigned char* ident = header_.e_ident;
  if (bytes->size() < SELFMAG || std::memcmp(ident, ELFMAG, SELFMAG) != 0) {
    const bool script = bytes->size() > 2 && ident[0] == '#' && ident[1] == '!';
    return absl::InvalidArgumentError(
        absl::StrCat(path_, " is not an ELF file (", FirstBytes(ident, bytes->size()), "); ",
                     script ? "it is a script: give its interpreter as the program"
                            : "give a compiled Linux program"));
  }
  if (bytes->size() < sizeof(header_)) return Damaged("its header is cut off");
  if (ident[EI_CLASS] != ELFCLASS64) {
    return absl::FailedPreconditionError(
        absl::StrCat(path_, " is a 32-bit ELF file; build it for x86-64 (without -m32)"));
  }
  if (ident[EI_DATA] != ELFDATA2LSB || header_.e_machine != EM_X86_64) {
    return absl::FailedPreconditionError(
        absl::StrCat(path_, " is for machine ", header_.e_machine,
                     " (e_machine); only x86-64 (62) can be traced"));
  }
  if (header_.e_type != ET_EXEC && header_.e_type != ET_DYN) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, " has ELF type ", header_.e_type,
                     "; give an executable (2) or a shared object (3), not an object file"));
  }
  return absl::OkStatus();
}

absl::Status ElfFile::ReadProgramHeaders() {
  if (header_.e_phnum == 0) return Damaged("it has no program headers");
  if (header_.e_phentsize != sizeof(Elf64_Phdr)) {
    return Damaged(absl::StrCat("e_phentsize is ", header_.e_phentsize, ", not 56"));
  }
  auto bytes = Read(header_.e_phoff, uint64_t{header_.e_phnum} * sizeof(Elf64_Phdr));
  if (!bytes.ok()) return bytes.status();
  programs_.resize(header_.e_phnum);
  std::memcpy(programs_.data(), bytes->data(), bytes->size());
  return absl::OkStatus();
}

void ElfFile::ReadSections() {
  if (header_.e_shoff == 0 || header_.e_shentsize != sizeof(Elf64_Shdr)) return;
  uint64_t count = header_.e_shnum;
  if (count == 0) {  // 65,280 sections and more: the count is in the first one
    auto first = Read(header_.e_shoff, sizeof(Elf64_Shdr));
    if (!first.ok()) return;
    Elf64_Shdr section{};
    std::memcpy(&section, first->data(), sizeof(section));
    count = section.sh_size;
  }
  if (count > size_ / sizeof(Elf64_Shdr)) return;
  auto bytes = Read(header_.e_shoff, count * sizeof(Elf64_Shdr));
  if (!bytes.ok()) return;
  sections_.resize(count);
  if (count > 0) std::memcpy(sections_.data(), bytes->data(), bytes->size());
}

}  // namespace flightrec::symbols
