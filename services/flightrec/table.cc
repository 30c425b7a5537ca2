#include "services/flightrec/table.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "nlohmann/json.hpp"

namespace flightrec::cli {
namespace {

// Tabs and line ends would break the row, other control characters the terminal.
std::string Escape(absl::string_view text, absl::string_view kept = "") {
  std::string escaped;
  for (const char c : text) {
    if (absl::StrContains(kept, c)) {
      escaped += c;
      continue;
    }
    const size_t known = absl::string_view("\\\t\n\r").find(c);
    if (known != absl::string_view::npos) {
      escaped.append({'\\', "\\tnr"[known]});
    } else if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      absl::StrAppendFormat(&escaped, "\\x%02x", static_cast<unsigned char>(c));
    } else {
      escaped += c;
    }
  }
  return escaped;
}

// Text for people.
struct HumanCell {
  std::string operator()(std::monostate) const { return "-"; }
  // EXPLAIN answers with drawings of many lines.
  std::string operator()(const std::string& text) const { return Escape(text, "\\\n"); }
  std::string operator()(int64_t number) const {
    return number < 0 ? absl::StrCat("-", GroupDigits(-static_cast<uint64_t>(number)))
                      : GroupDigits(number);
  }
  std::string operator()(uint64_t number) const { return GroupDigits(number); }
  std::string operator()(double number) const { return absl::StrFormat("%.6g", number); }
  std::string operator()(bool truth) const { return truth ? "true" : "false"; }
  std::string operator()(Nanoseconds time) const { return HumanTime(time.value); }
};

// Text for programs.
struct PlainCell {
  std::string operator()(std::monostate) const { return ""; }
  std::string operator()(const std::string& text) const { return Escape(text); }
  std::string operator()(int64_t number) const { return absl::StrCat(number); }
  std::string operator()(uint64_t number) const { return absl::StrCat(number); }
  std::string operator()(double number) const { return absl::StrFormat("%.17g", number); }
  std::string operator()(bool truth) const { return truth ? "true" : "false"; }
  std::string operator()(Nanoseconds time) const { return absl::StrCat(time.value); }
};

struct JsonCell {
  nlohmann::ordered_json operator()(std::monostate) const { return nullptr; }
  nlohmann::ordered_json operator()(Nanoseconds time) const { return time.value; }
  template <typename T>
  nlohmann::ordered_json operator()(const T& value) const {
    return value;
  }
};

bool IsNumber(const Cell& cell) {
  return std::holds_alternative<int64_t>(cell) || std::holds_alternative<uint64_t>(cell) ||
         std::holds_alternative<double>(cell) || std::holds_alternative<Nanoseconds>(cell);
}

// "total_ns" reads TOTAL above a column of times with units.
std::string Heading(const Table& table, size_t column) {
  absl::string_view name = table.columns[column].name;
  const bool has_units =
      std::any_of(table.rows.begin(), table.rows.end(), [&](const std::vector<Cell>& row) {
        return std::holds_alternative<Nanoseconds>(row[column]);
      });
  if (has_units && absl::EndsWith(name, "_ns")) name.remove_suffix(3);
  return absl::AsciiStrToUpper(Escape(name));
}

// Columns of code points, near enough to what a terminal shows.
size_t Width(absl::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

std::string Aligned(const Table& table) {
  const size_t columns = table.columns.size();
  std::vector<std::vector<std::string>> lines(1);
  std::vector<bool> right(columns, !table.rows.empty());
  for (size_t c = 0; c < columns; ++c) lines[0].push_back(Heading(table, c));
  for (const std::vector<Cell>& row : table.rows) {
    std::vector<std::string>& line = lines.emplace_back();
    for (size_t c = 0; c < columns; ++c) {
      line.push_back(std::visit(HumanCell(), row[c]));
      if (!IsNumber(row[c]) && !std::holds_alternative<std::monostate>(row[c])) right[c] = false;
    }
  }
  std::vector<size_t> widths(columns, 0);
  for (const std::vector<std::string>& line : lines) {
    for (size_t c = 0; c < columns; ++c) widths[c] = std::max(widths[c], Width(line[c]));
  }
  std::string text;
  for (const std::vector<std::string>& line : lines) {
    for (size_t c = 0; c < columns; ++c) {
      const std::string fill(widths[c] - Width(line[c]), ' ');
      const bool last = c + 1 == columns;
      absl::StrAppend(&text, c == 0 ? "" : "  ", right[c] ? fill : "", line[c],
                      right[c] || last ? "" : fill);
    }
    text += '\n';
  }
  return text;
}

std::string Tsv(const Table& table) {
  std::string text;
  for (size_t c = 0; c < table.columns.size(); ++c)
    absl::StrAppend(&text, c == 0 ? "" : "\t", Escape(table.columns[c].name));
  text += '\n';
  for (const std::vector<Cell>& row : table.rows) {
    for (size_t c = 0; c < row.size(); ++c) {
      absl::StrAppend(&text, c == 0 ? "" : "\t", std::visit(PlainCell(), row[c]));
    }
    text += '\n';
  }
  return text;
}

std::string Json(const Table& table) {
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (const std::vector<Cell>& row : table.rows) {
    nlohmann::ordered_json object = nlohmann::ordered_json::object();
    for (size_t c = 0; c < row.size(); ++c) {
      // SQL may give two columns one name.
      std::string key = table.columns[c].name;
      for (int n = 2; object.contains(key); ++n) key = absl::StrCat(table.columns[c].name, "_", n);
      object[key] = std::visit(JsonCell(), row[c]);
    }
    rows.push_back(std::move(object));
  }
  return rows.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string Format(const Table& table, OutputFormat format) {
  switch (format) {
    case OutputFormat::kTsv:
      return Tsv(table);
    case OutputFormat::kJson:
      return Json(table);
    case OutputFormat::kTable:
      break;
  }
  return Aligned(table);
}

std::string HumanTime(uint64_t nanoseconds) {
  if (nanoseconds < 1000) return absl::StrCat(nanoseconds, " ns");
  double value = nanoseconds;
  const char* unit = "ns";
  for (const char* next : {"us", "ms", "s"}) {
    // 999.95 would print as four digits.
    if (value < 999.5) break;
    value /= 1000;
    unit = next;
  }
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return absl::StrFormat("%.*f %s", decimals, value, unit);
}

std::string BriefName(const std::string& name) {
  constexpr size_t kEnough = 60;
  if (name.size() <= kEnough) return name;
  constexpr absl::string_view kOperator = "operator";
  std::string brief;
  int depth = 0;
  for (size_t i = 0; i < name.size(); ++i) {
    if (depth == 0 && absl::StartsWith(absl::string_view(name).substr(i), kOperator)) {
      // Its brackets are a name and enclose nothing.
      size_t end = std::min(name.size() - 1,
                            name.find_first_not_of("<>=-!*/+&|^%~,[]", i + kOperator.size()));
      if (name.compare(end, 2, "()") == 0) end += 2;
      brief.append(name, i, end - i);
      i = end;
    }
    const char c = name[i];
    const bool opens = c == '<' || (c == '(' && name.compare(i, 11, "(anonymous ") != 0);
    const bool closes = depth > 0 && ((c == '>' && name[i - 1] != '-') || c == ')');
    if (closes) --depth;
    if (depth == 0) brief += c;
    if (opens && depth++ == 0) brief += name[i + 1] == (c == '<' ? '>' : ')') ? "" : "...";
  }
  return brief;
}

std::string GroupDigits(uint64_t number) {
  std::string digits = absl::StrCat(number);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3) digits.insert(at, ",");
  return digits;
}

}  // namespace flightrec::cli
