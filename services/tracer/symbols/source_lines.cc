#include "services/tracer/symbols/source_lines.h"

#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "services/tracer/symbols/byte_cursor.h"
#include "services/tracer/symbols/compile_directories.h"
#include "services/tracer/symbols/elf_file.h"
#include "services/tracer/symbols/elf_section.h"
#include "services/tracer/symbols/line_files.h"
#include "services/tracer/symbols/line_program.h"

namespace flightrec::symbols {

// Reads the lines of one file.
class SourceLinesReader {
 public:
  SourceLinesReader(const ElfFile& file, const ElfSection& lines, SourceLines& result)
      : file_(file), lines_(lines), result_(result) {
    auto line_strings = ElfSection::Open(file, ".debug_line_str");
    if (line_strings.ok()) line_strings_ = absl::make_unique<ElfSection>(*std::move(line_strings));
    auto strings = ElfSection::Open(file, ".debug_str");
    if (strings.ok()) strings_ = absl::make_unique<ElfSection>(*std::move(strings));
    text_ = {line_strings_.get(), strings_.get()};
  }

  // `entries` are sorted by offset.
  void Read(absl::Span<EntryLine> entries) {
    for (uint64_t offset = 0; offset < lines_.size();) {
      const uint64_t end = UnitEnd(offset);
      if (end == 0) return Damaged(offset);
      const auto unit = lines_.Read(offset, end - offset);
      if (!unit.ok()) return Damaged(offset);
      LineHeader header;
      if (ReadLineHeader(*unit, header)) {
        Add(*unit, header, offset, entries, RunLineProgram(*unit, header, entries));
      } else {
        Damaged(offset);
      }
      offset = end;
    }
  }

 private:
  // 0: there is no unit at `offset`.
  uint64_t UnitEnd(uint64_t offset) const {
    constexpr uint64_t kLengthBytes = 12;
    const auto bytes = lines_.Read(offset, std::min(kLengthBytes, lines_.size() - offset));
    if (!bytes.ok()) return 0;
    ByteCursor cursor(*bytes);
    uint64_t length = cursor.Read<uint32_t>();
    if (length == UINT32_MAX) length = cursor.Read<uint64_t>();
    const uint64_t begin = offset + cursor.position();
    return cursor.failed() || length > lines_.size() - begin ? 0 : begin + length;
  }

  void Add(absl::Span<const uint8_t> unit, const LineHeader& header, uint64_t offset,
           absl::Span<const EntryLine> entries, absl::Span<const size_t> found) {
    if (found.empty()) return;
    const LineFiles files(unit, header, text_);
    absl::flat_hash_map<uint32_t, uint32_t> known;  // the unit's number to ours
    for (const size_t index : found) {
      const EntryLine& entry = entries[index];
      auto [place, is_new] = known.try_emplace(entry.file, 0);
      if (is_new) place->second = FileIndex(files.Path(entry.file), offset);
      result_.places_[entry.offset] = {place->second, entry.line};
    }
  }

  uint32_t FileIndex(std::string path, uint64_t unit) {
    // Bazel compiles under a name of the folder that means another one later.
    constexpr absl::string_view kBazelFolder = "/proc/self/cwd/";
    if (!path.empty() && !absl::StartsWith(path, "/")) path = JoinPath(Directory(unit), path);
    path = std::string(absl::StripPrefix(path, kBazelFolder));
    const auto [known, is_new] =
        numbers_.try_emplace(path, static_cast<uint32_t>(result_.files_.size()));
    if (is_new) result_.files_.push_back(std::move(path));
    return known->second;
  }

  const std::string& Directory(uint64_t unit) {
    if (!directories_read_) directories_ = ReadCompileDirectories(file_, text_);
    directories_read_ = true;
    return directories_[unit];
  }

  void Damaged(uint64_t offset) {
    if (!result_.note_.empty()) return;
    result_.note_ = absl::StrCat("source lines of ", file_.path(),
                                 " are incomplete: .debug_line is damaged at byte ", offset);
  }

  const ElfFile& file_;
  const ElfSection& lines_;
  SourceLines& result_;
  std::unique_ptr<ElfSection> line_strings_;
  std::unique_ptr<ElfSection> strings_;
  DwarfText text_;
  absl::flat_hash_map<std::string, uint32_t> numbers_;  // of result_.files_
  CompileDirectories directories_;
  bool directories_read_ = false;
};

namespace {

std::vector<EntryLine> Entries(const Module& module, absl::Span<const uint32_t> functions) {
  std::vector<EntryLine> entries;
  entries.reserve(functions.size());
  for (const uint32_t index : functions) {
    EntryLine& entry = entries.emplace_back();
    entry.offset = module.functions[index].offset;
    entry.size = module.functions[index].size;
  }
  std::sort(entries.begin(), entries.end(),
            [](const EntryLine& a, const EntryLine& b) { return a.offset < b.offset; });
  return entries;
}

}  // namespace

SourceLine SourceLines::At(uint64_t offset) const {
  const auto found = places_.find(offset);
  if (found == places_.end()) return {};
  return {files_[found->second.file], found->second.line};
}

SourceLines ReadSourceLines(const Module& module, absl::Span<const uint32_t> functions) {
  SourceLines result;
  std::vector<EntryLine> entries = Entries(module, functions);
  if (entries.empty()) return result;
  for (const std::string& path :
       {module.file.empty() ? module.path : module.file, module.debug_file}) {
    if (path.empty()) continue;
    const absl::StatusOr<ElfFile> file = ElfFile::Open(path);
    if (!file.ok()) continue;
    const absl::StatusOr<ElfSection> lines = ElfSection::Open(*file, ".debug_line");
    if (absl::IsNotFound(lines.status())) continue;
    if (!lines.ok()) {
      result.note_ = absl::StrCat("no source lines: ", lines.status().message());
      continue;
    }
    SourceLinesReader(*file, *lines, result).Read(absl::MakeSpan(entries));
    break;
  }
  return result;
}

SourceLines ReadSourceLines(const Module& module) {
  std::vector<uint32_t> all(module.functions.size());
  std::iota(all.begin(), all.end(), 0u);
  return ReadSourceLines(module, all);
}

}  // namespace flightrec::symbols
