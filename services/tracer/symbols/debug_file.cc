#include "services/tracer/symbols/debug_file.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "services/tracer/symbols/build_id.h"
#include "services/tracer/symbols/byte_cursor.h"
#include "services/tracer/symbols/elf_section.h"

namespace flightrec::symbols {
namespace {

// What .gnu_debuglink says; an empty name: nothing.
struct DebugLink {
  std::string name;
  uint32_t checksum = 0;
};

struct Candidate {
  std::string path;
  bool by_link = false;
};

bool HasOwn(const ElfFile& file) {
  const bool symbols =
      std::any_of(file.sections().begin(), file.sections().end(),
                  [](const Elf64_Shdr& section) { return section.sh_type == SHT_SYMTAB; });
  return symbols && ElfSection::Exists(file, ".debug_line");
}

DebugLink ReadDebugLink(const ElfFile& file) {
  DebugLink link;
  const auto section = ElfSection::Open(file, ".gnu_debuglink");
  if (!section.ok() || section->size() > ElfSection::kMaxTextBytes) return link;
  const auto bytes = section->Read(0, section->size());
  if (!bytes.ok()) return link;
  ByteCursor cursor(*bytes);
  const std::string name(cursor.ReadText());
  cursor.Skip((4 - cursor.position() % 4) % 4);
  link.checksum = cursor.Read<uint32_t>();
  const bool is_name = name.find('/') == std::string::npos && name != "." && name != "..";
  if (!cursor.failed() && is_name) link.name = name;
  return link;
}

std::vector<Candidate> Candidates(const ElfFile& file, absl::Span<const uint8_t> build_id,
                                  const DebugLink& link, const DebugDirectories& directories) {
  std::vector<Candidate> candidates;
  const std::string id = absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(build_id.data()), build_id.size()));
  for (const std::string& directory : directories) {
    if (build_id.size() < 2) break;
    candidates.push_back(
        {absl::StrCat(directory, "/.build-id/", id.substr(0, 2), "/", id.substr(2), ".debug"),
         /*by_link=*/false});
  }
  if (link.name.empty()) return candidates;
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(file.path(), error);
  if (error) return candidates;
  const std::string folder = real.parent_path().string();
  candidates.push_back({absl::StrCat(folder, "/", link.name), true});
  candidates.push_back({absl::StrCat(folder, "/.debug/", link.name), true});
  for (const std::string& directory : directories) {
    candidates.push_back({absl::StrCat(directory, folder, "/", link.name), true});
  }
  return candidates;
}

// Of the whole file, as .gnu_debuglink has it.
absl::StatusOr<uint32_t> Checksum(const ElfFile& file) {
  constexpr uint64_t kPiece = 1 << 20;
  uLong sum = crc32(0, nullptr, 0);
  for (uint64_t offset = 0; offset < file.size(); offset += kPiece) {
    const auto bytes = file.Read(offset, std::min(kPiece, file.size() - offset));
    if (!bytes.ok()) return bytes.status();
    sum = crc32(sum, bytes->data(), static_cast<uInt>(bytes->size()));
  }
  return static_cast<uint32_t>(sum);
}

// OK: `debug` belongs to the file with this build id.
absl::Status Belongs(const ElfFile& debug, absl::Span<const uint8_t> build_id,
                     const Candidate& candidate, const DebugLink& link) {
  const std::vector<uint8_t> own = ReadBuildId(debug);
  if (!own.empty() && !build_id.empty()) {
    if (absl::MakeConstSpan(own) == build_id) return absl::OkStatus();
    return absl::FailedPreconditionError("it is of another build: the build ids differ");
  }
  if (!candidate.by_link) return absl::FailedPreconditionError("it has no build id");
  const absl::StatusOr<uint32_t> sum = Checksum(debug);
  if (!sum.ok()) return sum.status();
  if (*sum == link.checksum) return absl::OkStatus();
  return absl::FailedPreconditionError("it is of another build: its checksum differs");
}

bool SameFile(const std::string& a, const std::string& b) {
  std::error_code error;
  return std::filesystem::equivalent(a, b, error) && !error;
}

}  // namespace

const DebugDirectories& SystemDebugDirectories() {
  static const auto* const kDirectories = new DebugDirectories{"/usr/lib/debug"};
  return *kDirectories;
}

absl::optional<ElfFile> FindDebugFile(const ElfFile& file, absl::Span<const uint8_t> build_id,
                                      const DebugDirectories& directories,
                                      std::vector<std::string>& notes) {
  if (HasOwn(file)) return absl::nullopt;
  const DebugLink link = ReadDebugLink(file);
  for (const Candidate& candidate : Candidates(file, build_id, link, directories)) {
    absl::StatusOr<ElfFile> debug = ElfFile::Open(candidate.path);
    absl::Status status = debug.status();
    if (absl::IsNotFound(status) || SameFile(candidate.path, file.path())) continue;
    if (status.ok()) status = Belongs(*debug, build_id, candidate, link);
    if (status.ok()) return *std::move(debug);
    notes.push_back(absl::StrCat("debug file ", candidate.path, " of ", file.path(),
                                 " is not used: ", status.message()));
  }
  return absl::nullopt;
}

}  // namespace flightrec::symbols
