#include "services/tracer/host/process_filter.h"

#include <algorithm>
#include <iterator>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace flightrec::host {
namespace {

constexpr absl::string_view kTextFields[] = {"name",      "command", "user",
                                             "container", "image",   "pod"};

const std::string& FieldOf(const ProcessTexts& texts, absl::string_view field) {
  if (field == "name") return texts.name;
  if (field == "command") return texts.command;
  if (field == "user") return texts.user;
  if (field == "container") return texts.container;
  if (field == "image") return texts.image;
  return texts.pod;
}

bool Contains(const std::string& text, absl::string_view part) {
  return absl::StrContains(absl::AsciiStrToLower(text), part);
}

bool WordMatches(const ProcessTexts& texts, absl::string_view field, absl::string_view part) {
  if (field == "pid") return texts.pid == part;
  if (field == "attachable") return texts.attachable == (part == "true");
  if (!field.empty()) return Contains(FieldOf(texts, field), part);
  return std::any_of(std::begin(kTextFields), std::end(kTextFields),
                     [&](absl::string_view one) { return Contains(FieldOf(texts, one), part); });
}

absl::Status CheckWord(absl::string_view word, absl::string_view field, absl::string_view part) {
  const bool known =
      field.empty() || field == "pid" || field == "attachable" ||
      std::find(std::begin(kTextFields), std::end(kTextFields), field) != std::end(kTextFields);
  if (!known) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", word, "': there is no field '", field,
                     "'; use name, command, user, container, image, pod, pid, attachable, or a "
                     "word without a colon"));
  }
  if (part.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", word, "': say what to look for behind the colon"));
  }
  if (field == "attachable" && part != "true" && part != "false") {
    return absl::InvalidArgumentError(absl::StrCat("'", word, "': use true or false"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ProcessFilter> ProcessFilter::Parse(absl::string_view text) {
  ProcessFilter filter;
  for (absl::string_view word :
       absl::StrSplit(text, absl::ByAnyChar(" \t\n"), absl::SkipWhitespace())) {
    if (filter.words_.size() == kMaxFilterWords) {
      return absl::InvalidArgumentError(
          absl::StrCat("more than ", kMaxFilterWords, " words: leave some out"));
    }
    const size_t colon = word.find(':');
    std::string field = colon == absl::string_view::npos ? "" : std::string(word.substr(0, colon));
    std::string part =
        absl::AsciiStrToLower(colon == absl::string_view::npos ? word : word.substr(colon + 1));
    // ":x" has a colon and no field.
    if (colon == 0) field = ":";
    if (absl::Status checked = CheckWord(word, field, part); !checked.ok()) return checked;
    filter.words_.emplace_back(std::move(field), std::move(part));
  }
  return filter;
}

bool ProcessFilter::Matches(const ProcessTexts& texts) const {
  return std::all_of(words_.begin(), words_.end(),
                     [&](const auto& word) { return WordMatches(texts, word.first, word.second); });
}

}  // namespace flightrec::host
