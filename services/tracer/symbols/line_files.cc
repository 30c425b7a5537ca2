#include "services/tracer/symbols/line_files.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace flightrec::symbols {
namespace {

// DWARF 5, section 7.22: what a column of the tables holds.
constexpr uint64_t kContentPath = 1;
constexpr uint64_t kContentDirectory = 2;
constexpr uint64_t kFormText = 0x08;

struct Column {
  uint64_t content = 0;
  uint64_t form = 0;
};

DwarfValue PlainText(absl::string_view text) {
  DwarfValue value;
  value.form = kFormText;
  value.text = text;
  return value;
}

}  // namespace

std::string JoinPath(const std::string& directory, const std::string& path) {
  if (path.empty()) return directory;
  const bool whole = directory.empty() || absl::StartsWith(path, "/");
  const std::filesystem::path joined(whole ? path : absl::StrCat(directory, "/", path));
  return joined.lexically_normal().string();
}

LineFiles::LineFiles(absl::Span<const uint8_t> unit, const LineHeader& header,
                     const DwarfText& text)
    : text_(text) {
  const ByteCursor tables(unit.subspan(header.tables, header.program - header.tables));
  if (header.version < 5) {
    ReadBefore5(tables);
  } else {
    Read5(tables, header.is_64bit);
  }
}

// Both numberings start from 1; directory 0 is not in the table.
void LineFiles::ReadBefore5(ByteCursor tables) {
  directories_.emplace_back();
  files_.emplace_back();
  while (!tables.AtEnd()) {
    const absl::string_view directory = tables.ReadText();
    if (directory.empty()) break;
    directories_.push_back({PlainText(directory), 0});
  }
  while (!tables.AtEnd()) {
    Entry file = {PlainText(tables.ReadText()), 0};
    if (file.path.text.empty()) break;
    file.directory = tables.ReadUleb();
    tables.ReadUleb();  // time of modification
    tables.ReadUleb();  // bytes
    files_.push_back(file);
  }
}

void LineFiles::Read5(ByteCursor tables, bool is_64bit) {
  directories_ = ReadTable(tables, is_64bit);
  files_ = ReadTable(tables, is_64bit);
}

std::vector<LineFiles::Entry> LineFiles::ReadTable(ByteCursor& cursor, bool is_64bit) {
  std::vector<Column> columns(cursor.Read<uint8_t>());
  for (Column& column : columns) {
    column.content = cursor.ReadUleb();
    column.form = cursor.ReadUleb();
  }
  const uint64_t count = cursor.ReadUleb();
  // Each entry has at least a byte.
  if (count > std::min<uint64_t>(cursor.remaining(), kMaxEntries)) return {};
  std::vector<Entry> entries;
  for (uint64_t i = 0; i < count && !cursor.failed(); ++i) {
    Entry& entry = entries.emplace_back();
    for (const Column& column : columns) {
      const DwarfValue value = ReadDwarfForm(column.form, is_64bit, cursor);
      if (column.content == kContentDirectory) entry.directory = value.number;
      if (column.content == kContentPath) entry.path = value;
    }
  }
  return entries;
}

std::string LineFiles::Path(uint32_t number) const {
  if (number >= files_.size()) return "";
  const Entry& file = files_[number];
  const std::string name = TextOf(file.path, text_);
  if (name.empty() || file.directory >= directories_.size()) return name;
  const std::string directory = JoinPath(TextOf(directories_[0].path, text_),
                                         TextOf(directories_[file.directory].path, text_));
  return JoinPath(directory, name);
}

}  // namespace flightrec::symbols
